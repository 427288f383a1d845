#!/bin/sh
# Hands over to scripts/launch.py with the first Python of 3.11 or later: scripts/start.sh MODULE [ARGUMENTS]
here=$(dirname "$0")
for python in "${AUTORESEARCH_PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python; do
    if [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        # nothing of the user's environment is read, nothing is written beside the scripts
        exec "$python" -E -s -B "$here/launch.py" "$@"
    fi
done
# a client that started a server hears the reason as an answer; whoever typed a command, on stderr
[ "${1:-}" != mcp_server ] || exec "$here/no_python.sh"
echo "autoresearch: no Python of 3.11 or later on the PATH. Install one, or name it: AUTORESEARCH_PYTHON=/path/to/python3" >&2
exit 1
