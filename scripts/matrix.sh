#!/usr/bin/env bash
# The whole way (setup, short demonstration, tests) with every Python of 3.11 or later that this machine has:
#     scripts/matrix.sh [FOLDER/bin/python3 ...]        interpreters of your own instead of those found
# Each has an environment of its own in .matrix/. Ends with a line for each; exit code 1 if one failed.
set -uo pipefail
cd "$(dirname "$0")/.."

if (($#)); then
    candidates=("$@")
else
    shopt -s nullglob
    candidates=(/usr/bin/python3 /usr/bin/python3.[0-9]* /usr/local/bin/python3.[0-9]* /opt/*/bin/python3
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3 "$HOME"/.local/share/uv/python/*/bin/python3
        "$HOME"/{mini,ana}conda3/bin/python3)
    for name in python3 python3.{11..20}; do
        found=$(command -v "$name") && candidates+=("$found")
    done
fi

about='import os, sys
if sys.version_info >= (3, 11) and sys.prefix == sys.base_prefix:
    print(".".join(map(str, sys.version_info[:3])), os.path.realpath(sys.executable))'
interpreters=$(for python in "${candidates[@]}"; do "$python" -c "$about" 2>/dev/null; done | sort -u -V)
[[ -n $interpreters ]] || { echo "matrix: no Python of 3.11 or later was found" >&2; exit 1; }

status=0
lines=()
while read -r version python; do
    venv=.matrix/$version-$(cksum <<<"$python" | cut -c1-4)
    echo "matrix: Python $version, $python"
    outcome=passed
    for goal in setup demo test; do
        make "$goal" "VENV=$venv" "PYTHON=$python" "DEMO=--plain --experiments 2 --calibrate 0 --budget 4 --limit 240" \
            </dev/null || { outcome="failed at make $goal"; status=1; break; }
    done
    lines+=("matrix: Python $version, $python, as $(id -un): $outcome")
done <<<"$interpreters"
printf '%s\n' "${lines[@]}"
exit "$status"
