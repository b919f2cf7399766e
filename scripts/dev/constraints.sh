#!/usr/bin/env bash
# Write scripts/constraints.txt anew, from what is installed in .venv: bash scripts/dev/constraints.sh
# Needs uv (pip install uv). Takes the hashes of all files of a version, for Linux, macOS and Windows, and for Python 3.11.5
# or newer, which a requirement of jupyterlab's needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
uv pip compile pyproject.toml --quiet --extra dev --extra notebook --universal --python-version 3.11.5 \
    --constraint <(.venv/bin/python -m pip freeze --exclude-editable) \
    --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
    --output-file scripts/constraints.txt
