"""A command that leaves a trace when anything runs it."""

from __future__ import annotations

from pathlib import Path


class Canary:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.cage = folder.parent / "cage"
        self.cage.mkdir()

    def command(self, name: str, then: str = "cat") -> str:
        """A path to a script that notes its name and then does `then` with its stdin."""
        script = self.cage / name
        script.write_text(f'#!/bin/sh\necho "$0 $*" >> "{self.folder}/{name}"\n{then}\n')
        script.chmod(0o755)
        return str(script)

    def songs(self) -> list[str]:
        return sorted(place.name for place in self.folder.iterdir())

    def hush(self) -> None:
        """Forget what the planting itself ran."""
        for place in self.folder.iterdir():
            place.unlink()
