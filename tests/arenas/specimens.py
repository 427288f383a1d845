"""The tiny arenas beside this file: what each shows, and how it is laid out in a folder.

A file is one arena. Its first line says in words what is sound or flawed about it; `expects:` names the code of the
finding that must block it (or the verdict), `better:` and `worse:` what is handed to the proof. Then the files, each
under a line `=== PATH`; those below `better/` and `worse/` are no part of the arena.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


@dataclass
class Specimen:
    """One arena in one file."""

    words: str
    settings: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Specimen:
        head, *sections = path.read_text().split("\n=== ")
        words, *settings = head.strip().splitlines()
        files = dict(section.split("\n", 1) for section in sections)
        return cls(words, dict(line.split(": ", 1) for line in settings), files)

    def lay_out(self, folder: Path) -> Path:
        """The arena's folder; versions lie beside it, in `folder`."""
        for name, text in self.files.items():
            outside = name.startswith(("better/", "worse/"))
            path = folder / name if outside else folder / "arena" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.rstrip("\n") + "\n")
        return folder / "arena"


def specimens(kind: str) -> dict[str, Path]:
    """The arenas of `sound` or `flawed`, by name."""
    return {path.stem: path for path in sorted((FOLDER / kind).glob("*.arena"))}
