# Sourced by train.sh, test.sh and dev/*.sh: creates a virtual environment in the checkout and installs the project in
# it, if necessary. Sets `root` (the checkout), `venv` and `python` (of the environment). Usage: prepare EXTRAS [PIP
# OPTIONS], where EXTRAS is "" or "[dev]". The variable PYTHON sets the interpreter for the environment (python3 if
# unset), and MNIST_MLP_VENV the environment's folder in the checkout (.venv if unset).

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/${MNIST_MLP_VENV:-.venv}
python=$venv/bin/python

fail() {
    printf '%s\n' "$*" >&2
    exit 2
}

prepare() {
    local extras=$1 base=${PYTHON:-python3}
    shift
    local installed=$venv/installed$extras.toml # the pyproject.toml that was installed
    if cmp -s "$root/pyproject.toml" "$installed" && [ -x "$python" ]; then
        return
    fi
    command -v "$base" >/dev/null || fail "$base is not installed: install Python 3.11 or newer, or set PYTHON=/path/to/python3"
    "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$base" --version 2>&1) is too old: mnist_mlp needs Python 3.11 or newer; set PYTHON=/path/to/python3"
    if ! "$python" -c '' 2>/dev/null; then
        "$base" -m venv --clear --upgrade-deps "$venv" ||
            fail "cannot create $venv; on Debian and Ubuntu, try 'apt install python3-venv'"
    fi
    echo "Installing mnist_mlp$extras in $venv (some minutes the first time) ..." >&2
    echo "pip downloads PyTorch and what it needs, and prints nothing until it has installed them." >&2
    "$python" -m pip install --quiet --disable-pip-version-check "$@" --editable "$root$extras" ||
        fail "The installation failed (see above). It needs a network connection and about 6 GB of disk; check them and try again."
    cp "$root/pyproject.toml" "$installed"
    cp "$root/pyproject.toml" "$venv/installed.toml"
}
