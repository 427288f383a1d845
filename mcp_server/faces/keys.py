"""Keys of a terminal, one at a time, while something else is shown, and what they ask of a campaign."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field

ENTER, ESCAPE, ERASE = ("\r", "\n"), "\x1b", ("\x7f", "\b")
HELP = "p pause · v veto · c cancel · n note · i idea · + pin · - park · q quit"
# what a key asks for, and what is to be typed after it; "" for nothing
ASKS = {
    "p": ("pause", ""),
    "v": ("veto", "veto the next keep, because"),
    "c": ("cancel", "cancel experiment"),
    "n": ("note", "note to the agent"),
    "i": ("idea", "idea"),
    "+": ("pin", "pin idea"),
    "-": ("park", "park idea"),
    "q": ("quit", ""),
}
LONGEST = 2000  # characters typed


@dataclass
class Prompt:
    """What was pressed so far. `press` answers a verb with its text once one is complete."""

    verb: str = ""
    text: str = ""
    said: str = ""  # what came of the last one
    _asked: str = field(default="", repr=False)

    def press(self, key: str) -> tuple[str, str] | None:
        if not self.verb:
            verb, asked = ASKS.get(key, ("", ""))
            if verb and not asked:
                return verb, ""
            self.verb, self._asked, self.text, self.said = verb, asked, "", self.said if not verb else ""
        elif key in ENTER:
            verb, text = self.verb, self.text.strip()
            self.verb = self.text = ""
            return verb, text
        elif key == ESCAPE:
            self.verb = self.text = ""
        elif key in ERASE:
            self.text = self.text[:-1]
        elif key.isprintable() and len(self.text) < LONGEST:
            self.text += key
        return None

    def lines(self) -> list[str]:
        """The last lines of the screen: what came of the last verb above, so that it never pushes the keys off."""
        asked = f"{self._asked}: {self.text}▏  (Enter sends, Esc leaves)" if self.verb else HELP
        return [self.said, asked] if self.said else [asked]


@contextlib.contextmanager
def keyboard() -> Iterator[bool]:
    """Keys without Enter and without echo; False where stdin is no terminal. Ctrl-C stays what it is."""
    if not sys.stdin.isatty():
        yield False
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        yield True
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def pressed(seconds: float) -> str:
    """What was typed within so long, as it came; "" for nothing. An arrow or another sequence counts as nothing."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    if not ready:
        return ""
    text = os.read(sys.stdin.fileno(), 4096).decode(errors="ignore")
    return "" if text.startswith(ESCAPE) and len(text) > 1 else text
