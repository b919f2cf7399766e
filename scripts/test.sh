#!/usr/bin/env bash
# Check everything but what takes minutes: bash scripts/test.sh [pytest arguments], as in bash scripts/test.sh -k mnist
# With --all first, also the tests that are marked slow: Slurm, killed sweeps, the browser, the wheel.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
# The tested versions, so that a new release elsewhere changes nothing here; scripts/dev/newest.sh tests those.
tested() {
    sed -E '/^ +--hash=/d; s/ *\\$//' "$root/scripts/constraints.txt"
}
prepare "[dev]" --constraint <(tested)
cd "$root"
bin=$venv/bin
"$bin/ruff" format --check . || fail "Some files are not formatted: run .venv/bin/ruff format"
"$bin/ruff" check . || fail "ruff found problems; .venv/bin/ruff check --fix fixes some of them"
"$bin/mypy" || fail "mypy found problems"
"$bin/lint-imports" --no-logo > /dev/null || fail "An import breaks the order of the layers: run .venv/bin/lint-imports"
if [ "${1:-}" = --all ]; then
    shift
else
    set -- -m "not slow" "$@"
fi
exec "$python" -m pytest "$@"
