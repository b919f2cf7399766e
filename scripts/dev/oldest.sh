#!/usr/bin/env bash
# Run the tests with the oldest supported versions in pyproject.toml: bash scripts/dev/oldest.sh [pytest arguments]
# Requires Python 3.11 or 3.12: some of these versions have no wheels for later ones.
set -euo pipefail
export MNIST_MLP_VENV=.venv-oldest # exported, as the tests run train.sh
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"
bounds() {
    grep -oE '"[a-z0-9-]+>=[0-9.]+' "$root/pyproject.toml" | sed -E 's/"(.*)>=/\1==/'
}
prepare "[dev]" --constraint <(bounds)
cd "$root"
exec "$python" -m pytest "$@"
