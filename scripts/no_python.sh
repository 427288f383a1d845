#!/bin/sh
# Speaks MCP where there is no Python to run the server with: says so, in words, to whoever asks. scripts/no_python.sh
# The tools are listed, so that a model has something to call and hears the reason; nothing else works here.
here=$(dirname "$0")
words='autoresearch needs Python 3.11 or later, and none is on the PATH of this client. Install one (Debian and Ubuntu: sudo apt-get install python3 python3-venv), or name it with AUTORESEARCH_PYTHON=/path/to/python3, then start the client again.'
echo "autoresearch: $words" >&2
while IFS= read -r line; do
    id=$(printf '%s' "$line" | sed -n -e 's/.*"id" *: *\("[^"]*"\).*/\1/p' -e 's/.*"id" *: *\([0-9][0-9]*\).*/\1/p' | head -n 1)
    [ -n "$id" ] || continue
    case $line in
        *'"initialize"'*)
            asked=$(printf '%s' "$line" | sed -n 's/.*"protocolVersion" *: *"\([0-9-]*\)".*/\1/p')
            result="{\"protocolVersion\":\"${asked:-2025-06-18}\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"autoresearch\",\"version\":\"0\"},\"instructions\":\"$words\"}" ;;
        *'"tools/list"'*) result=$(tr -d '\n' <"$here/tools.json") ;;
        *'"tools/call"'*) result="{\"content\":[{\"type\":\"text\",\"text\":\"$words\"}],\"isError\":true}" ;;
        *'"ping"'*) result='{}' ;;
        *) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"%s"}}\n' "$id" "$words"; continue ;;
    esac
    printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$result"
done
exit 1
