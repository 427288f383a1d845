#!/bin/sh
# Says how well runs are shut in on this machine. A word of advice, never a failure; `autoresearch doctor` tells more.
if command -v bwrap >/dev/null 2>&1; then
    if bwrap --unshare-all --ro-bind / / true 2>/dev/null; then
        echo "Sandbox: bubblewrap works; runs are shut in at T2."
    else
        echo "Sandbox: bubblewrap is installed but may not make namespaces here; runs are shut in at T1. See docs/trust.md."
    fi
elif [ "$(uname -s)" = Linux ]; then
    echo "Sandbox: bubblewrap is missing; runs are shut in at T1 only. For T2: sudo apt-get install bubblewrap"
else
    echo "Sandbox: bubblewrap needs Linux; see docs/trust.md for what holds on this system."
fi
