#!/usr/bin/env bash
# Run the tests with the newest versions, and Hydra 1.4, of which there are release candidates: bash scripts/dev/newest.sh [pytest arguments]
set -euo pipefail
export MNIST_MLP_VENV=.venv-newest # exported, as the tests run train.sh
source "$(dirname "${BASH_SOURCE[0]}")/../environment.sh"
prepare "[dev]" "hydra-core>=1.4.0rc3" "hydra-joblib-launcher>=1.4.0rc3" "hydra-submitit-launcher>=1.4.0rc3"
cd "$root"
exec "$python" -m pytest "$@"
