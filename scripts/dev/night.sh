#!/usr/bin/env bash
# Takes a night: a hundred times as many examples of each property-based test, all new, and 300 killed sweeps.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
HYPOTHESIS_PROFILE=night python -m pytest -q tests/test_properties.py tests/test_damage.py tests/test_predict.py "$@"
python scripts/dev/faults.py --kills 300 --seed "$(date +%j | sed 's/^0*//')"
