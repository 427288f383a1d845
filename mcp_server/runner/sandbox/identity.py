"""Who a confined command is: the user who started the lab, or, where that is root, somebody who owns nothing.

Root without capabilities is still the owner of the kernel's settings and of most of the disk: it may write a sysctl and
change the mode of a system file. So nothing of an agent's runs as root where a change of user is possible.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

# No account of any distribution has it: Debian and systemd keep 65520 to 65533 free, and it fits into the 65,536 user
# ids that a container is usually lent.
UNPRIVILEGED = 65_527
CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_DAC_READ_SEARCH = 6, 7, 8, 2
NEEDED = (CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_DAC_READ_SEARCH)


def can_change() -> bool:
    """Whether this process is root and has the capabilities that `confine.become` needs. A container may lack them."""
    if os.getuid() != 0:
        return False
    with open("/proc/self/status") as file:
        held = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    return all(held >> capability & 1 for capability in NEEDED)


def give(folders: Iterable[Path], uid: int) -> None:
    """Let `uid` write in these folders: they and what lies in them become its own. Follows no links. Raises OSError."""
    for top in folders:
        if os.lstat(top).st_uid == uid:
            continue
        for place, names, files in os.walk(top):
            for name in (*names, *files):
                os.chown(os.path.join(place, name), uid, uid, follow_symlinks=False)
        os.chown(top, uid, uid, follow_symlinks=False)


def tasks(uid: int) -> int:
    """Processes and threads that `uid` has now, on the whole machine."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == uid:
                    count += len(os.listdir(f"/proc/{name}/task"))
            except OSError:
                continue  # it ended meanwhile
    return count
