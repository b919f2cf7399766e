#!/usr/bin/env bash
# For a night: new examples of every property-based test, a hundred times as many, and sweeps broken 300 times.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
HYPOTHESIS_PROFILE=night python -m pytest -q tests/test_properties.py tests/test_damage.py tests/test_predict.py "$@"
python scripts/dev/faults.py --kills 300 --seed "$(date +%j | sed 's/^0*//')"
