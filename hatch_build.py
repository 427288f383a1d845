"""Puts the files a lab starts from, which live at the repository's root, into the wheel.

Only a real wheel gets copies. An editable install reads the files at the root, so that an edit there is an edit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LANGUAGE_MODEL_ARENA = ("program.md", "prepare.py", "train.py")
FACADE = "autoresearch.py"  # `import autoresearch`; an editable install finds it at the root
STYLES = "skills/autoresearch/styles"
PROCESSES = "skills/arena/examples/processes.yaml"


class RootFilesHook(BuildHookInterface):  # type: ignore[type-arg]  # the plugin's config type is not ours to name
    """Adds to a wheel `mcp_server/templates/<arena>/`, `mcp_server/styles/`, the example of `readiness`, the facade."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Map each root file to its place in the package. A missing file stops the build: half a template is none."""
        if version == "editable":
            return
        root = Path(self.root)
        inside = {str(root / name): f"mcp_server/templates/lm/{name}" for name in LANGUAGE_MODEL_ARENA}
        inside[str(root / FACADE)] = FACADE
        inside[str(root / STYLES)] = "mcp_server/styles"
        inside[str(root / PROCESSES)] = "mcp_server/examples/processes.yaml"
        arenas = root / "arenas"
        if arenas.is_dir():
            for arena in sorted(folder for folder in arenas.iterdir() if folder.is_dir()):
                inside[str(arena)] = f"mcp_server/templates/{arena.name}"
        build_data["force_include"].update(inside)
