#!/usr/bin/env bash
# Check everything: bash scripts/test.sh [pytest arguments], as in bash scripts/test.sh -k mnist
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
prepare "[dev]"
cd "$root"
bin=$venv/bin
"$bin/ruff" format --check . || fail "Some files are not formatted: run .venv/bin/ruff format"
"$bin/ruff" check . || fail "ruff found the above; .venv/bin/ruff check --fix mends some of it"
"$bin/mypy" || fail "mypy found the above"
"$bin/lint-imports" --no-logo > /dev/null || fail "An import runs upwards: .venv/bin/lint-imports says which"
exec "$python" -m pytest "$@"
