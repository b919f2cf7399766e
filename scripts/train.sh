#!/usr/bin/env bash
# Install what is necessary and train: bash scripts/train.sh [overrides], as in bash scripts/train.sh model=deep5 batch=1
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
prepare ""
exec "$python" "$root/train.py" "$@"
