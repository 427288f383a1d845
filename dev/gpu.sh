#!/usr/bin/env bash
# Everything this project wants to know of one NVIDIA card, in one command under ten minutes, without a network:
#
#     dev/gpu.sh [OUT.json]          on the card
#     dev/gpu.sh --cpu [OUT.json]    the same steps in miniature on a processor, which is how the script itself is tested
#
# Before, on a machine with a network: `make setup && dev/gpu.sh --pack` lays the prepared corpus beside the tree, in
# .gpu/ (ignored by git), and says how much tree and corpus weigh: under 64 MiB. There, PYTHON names a Python that has
# torch and what pyproject.toml asks for; wheels for what it lacks may lie in .gpu/wheels. Remove .gpu/ when it has been
# carried: its corpus holds the sealed text, and `make setup` seals other text where it finds a copy.
set -euo pipefail
cd "$(dirname "$0")/.."
pack=.gpu
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 OMP_WAIT_POLICY=passive

if [ "${1:-}" = --pack ]; then
    corpus=$("$python" -c 'from mcp_server.nouns.paths import cache_folder; print((cache_folder() / "current").resolve())')
    rm -rf "$pack/corpus"
    mkdir -p "$pack/corpus"
    cp -RL "$corpus/." "$pack/corpus/"
    tree=$(git ls-files -z | xargs -0 du -ck --apparent-size | awk '/total$/ { sum += $1 } END { print sum }')
    carried=$(du -sk --apparent-size "$pack" | cut -f1)
    echo "tree $tree KiB, $pack $carried KiB"
    [ $((tree + carried)) -lt $((64 * 1024)) ] || { echo "More than 64 MiB together." >&2; exit 1; }
    exit 0
fi
if ls "$pack"/wheels/*.whl >/dev/null 2>&1; then
    "$python" -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$pack/site" "$pack"/wheels/*.whl
    export PYTHONPATH="$PYTHONPATH:$PWD/$pack/site"
fi
if [ -d "$pack/corpus" ]; then # laid where the lab looks for it; no second copy of what is sealed
    mkdir -p "$pack/cache"
    ln -sfn ../corpus "$pack/cache/current"
    export AUTORESEARCH_CACHE="$PWD/$pack/cache"
fi
limit=(timeout --kill-after=5 595) # whatever a step comes to; what was found before is on the disk
case " $* " in *" --cpu "*) limit=() ;; esac
exec "${limit[@]}" "$python" -m dev.gpu "$@"
