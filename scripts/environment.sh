# Sourced by train.sh, test.sh and oldest.sh: makes an environment in the checkout and installs the project in it, where
# that is needed. Sets `root` (the checkout), `venv` and `python` (the environment's). Call: prepare EXTRAS [PIP OPTIONS],
# where EXTRAS is "" or "[dev]". PYTHON names the interpreter to begin with (python3 if unset), MNIST_MLP_VENV the
# environment's folder in the checkout (.venv if unset).

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
    command -v "$base" >/dev/null || fail "$base is not there: install Python 3.11 or newer, or name one with PYTHON=/path/to/python3"
    "$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$base" --version 2>&1) is too old: mnist_mlp needs Python 3.11 or newer; name one with PYTHON=/path/to/python3"
    if ! "$python" -c '' 2>/dev/null; then
        "$base" -m venv --clear "$venv" ||
            fail "$venv could not be made; on Debian and Ubuntu, 'apt install python3-venv' brings what is missing"
    fi
    echo "Installing mnist_mlp$extras in $venv (some minutes the first time) ..." >&2
    "$python" -m pip install --quiet --disable-pip-version-check "$@" --editable "$root$extras" ||
        fail "The installation failed (see above). It needs the network and about 6 GB of disk; run the command again when these are there."
    cp "$root/pyproject.toml" "$installed"
    cp "$root/pyproject.toml" "$venv/installed.toml"
}
