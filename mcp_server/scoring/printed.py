"""The score that a run printed: `python -m mcp_server.scoring.printed NAME`. CLAIMED BY THE RUN, measured by nobody.

For repositories whose training measures itself and leaves nothing that could be measured again. The supervisor hands
the end of the run's output over; of that, the last line `NAME: number` (the reference's summary block) or
`METRIC NAME=number` (pi-autoresearch) is taken. Whoever edits the training can print any number: keep such scores apart
from measured ones, and have the run leave an artifact and a scorer of your own as soon as you can.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from pathlib import Path

HANDED_OVER = "printed.txt"  # in the artifact
MOST = 60  # further numbers of the summary
LINE = r"^[ \t]*(?:METRIC[ \t]+)?{name}[ \t]*[:=][ \t]*(\S+)[ \t]*$"
NUMBER = re.compile(
    r"^[ \t]*(?:METRIC[ \t]+)?([A-Za-z][\w.%/-]{0,39})[ \t]*[:=][ \t]*([-+0-9.eE]+)[ \t]*$", re.MULTILINE
)


def answer(name: str, printed: str) -> dict[str, object]:
    """The answer of the score command for what a run printed."""
    said = re.findall(LINE.format(name=re.escape(name)), printed, re.MULTILINE)
    if not said:
        detail = f"The run printed no line `{name}: NUMBER` (nor `METRIC {name}=NUMBER`), so it claims no score."
        return {"rejected": "no_claim", "detail": detail}
    try:
        score = float(said[-1])
    except ValueError:
        return {"rejected": "no_claim", "detail": f"The run printed `{name}: {said[-1][:60]}`, which is no number."}
    if not math.isfinite(score):
        return {"score": score}
    # the summary block stands below a line of three dashes, where there is one
    block = re.split(r"^---[ \t]*$", printed, flags=re.MULTILINE)[-1]
    further = {key: float(value) for key, value in NUMBER.findall(block)[-MOST:] if key != name and _is_number(value)}
    return {"score": score, "secondary": further, "claimed": True}


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def main(argv: list[str]) -> int:
    """Read $AUTORESEARCH_ARTIFACT, print the answer."""
    if len(argv) != 2:
        print("usage: python -m mcp_server.scoring.printed NAME", file=sys.stderr)
        return 2
    place = Path(os.environ["AUTORESEARCH_ARTIFACT"]) / HANDED_OVER
    print(json.dumps(answer(argv[1], place.read_text("utf-8", errors="replace") if place.exists() else "")))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
