#!/bin/sh
# Makes a virtual environment with pip in it: scripts/make_venv.sh FOLDER
# Python is $PYTHON, or the newest interpreter of 3.11 or later on the PATH. Does nothing when FOLDER already works.
# Debian ships Python without the part that puts pip into an environment, so there are three ways to the same end.
set -eu

folder=$1

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if [ -x "$folder/bin/python" ] && fits "$folder/bin/python" && "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi

python=${PYTHON:-}
if [ -n "$python" ]; then
    fits "$python" || { echo "autoresearch: PYTHON=$python is not a Python of 3.11 or later." >&2; exit 1; }
else
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if command -v "$candidate" >/dev/null 2>&1 && fits "$candidate"; then python=$candidate; break; fi
    done
    [ -n "$python" ] || {
        echo "autoresearch: no Python of 3.11 or later on the PATH. Install one, or name it: PYTHON=/path/to/python3" >&2
        exit 1
    }
fi

rm -rf "$folder"
trouble=$(mktemp)
trap 'rm -f "$trouble"' EXIT
if "$python" -m venv "$folder" >"$trouble" 2>&1; then exit 0; fi
rm -rf "$folder"
# a pip outside can fill an environment that was made without one
if "$python" -m venv --without-pip "$folder" >>"$trouble" 2>&1 &&
    "$python" -m pip --python "$folder/bin/python" install --quiet pip >>"$trouble" 2>&1; then exit 0; fi
rm -rf "$folder"
if command -v uv >/dev/null 2>&1 && uv venv --quiet --seed --python "$python" "$folder" >>"$trouble" 2>&1; then exit 0; fi
rm -rf "$folder"
if "$python" -m virtualenv --quiet "$folder" >>"$trouble" 2>&1; then exit 0; fi
rm -rf "$folder"
tail -n 5 "$trouble" >&2
echo "autoresearch: $python cannot make a virtual environment. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2
exit 1
