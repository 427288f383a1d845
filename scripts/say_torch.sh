#!/bin/sh
# Before torch is installed on Linux without an NVIDIA card: says how to avoid gigabytes of CUDA libraries.
[ "$(uname -s)" = Linux ] || exit 0
if [ -e /dev/nvidiactl ] || [ -e /proc/driver/nvidia/version ]; then exit 0; fi
# whoever set an index or a folder of wheels has chosen already
if [ -n "${PIP_INDEX_URL:-}${PIP_EXTRA_INDEX_URL:-}${PIP_FIND_LINKS:-}" ]; then exit 0; fi
cat <<'WORDS'
No NVIDIA card here. From PyPI, pip fetches torch with its CUDA libraries (about 3 GB); the CPU build is a tenth of it:
    make distclean && PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make setup
WORDS
