"""Sets one version everywhere, or says where it differs.

    python scripts/bump_version.py 0.2.0      write it
    python scripts/bump_version.py --check    compare; exit code 1 and a line for each place that differs

`mcp_server.__version__` is the source; pyproject.toml reads it from there.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = Path("mcp_server/__init__.py")
IN_JSON = r'("version":\s*")[^"]+(")'
PLACES = {
    SOURCE: r'(__version__ = ")[^"]+(")',
    Path(".claude-plugin/plugin.json"): IN_JSON,
    Path(".claude-plugin/marketplace.json"): IN_JSON,
    Path(".codex-plugin/plugin.json"): IN_JSON,
    Path("plugin.json"): IN_JSON,
    Path("skills/autoresearch/SKILL.md"): r'(version: ")[^"]+(")',
    Path("skills/autoresearch-report/SKILL.md"): r'(version: ")[^"]+(")',
    Path("skills/arena/SKILL.md"): r'(version: ")[^"]+(")',
    Path("skills/decompose/SKILL.md"): r'(version: ")[^"]+(")',
    Path("skills/interview/SKILL.md"): r'(version: ")[^"]+(")',
    Path("skills/operate/SKILL.md"): r'(version: ")[^"]+(")',
    Path("skills/paper/SKILL.md"): r'(version: ")[^"]+(")',
    Path("skills/review/SKILL.md"): r'(version: ")[^"]+(")',
    Path("skills/replicate/SKILL.md"): r'(version: ")[^"]+(")',
}


def versions(place: Path, root: Path = ROOT) -> list[str]:
    """Every version a file states."""
    text = (root / place).read_text(encoding="utf-8")
    return [found[0][len(found[1]) : -len(found[2])] for found in re.findall(f"({PLACES[place]})", text)]


def differing(root: Path = ROOT) -> list[str]:
    """One line for each place that does not state the source's version, or states none."""
    (source,) = versions(SOURCE, root)
    found = {place: versions(place, root) for place in PLACES}
    return [
        f"{place}: {stated or 'no version'}, not {source}" for place, stated in found.items() if set(stated) != {source}
    ]


def bump(version: str, root: Path = ROOT) -> None:
    """Write a version everywhere."""
    for place, pattern in PLACES.items():
        path = root / place
        path.write_text(re.sub(pattern, rf"\g<1>{version}\g<2>", path.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    if len(sys.argv) != 2 or not re.fullmatch(r"--check|\d+\.\d+\.\d+([ab]\d+|rc\d+)?", sys.argv[1]):
        sys.exit(__doc__)
    if sys.argv[1] != "--check":
        bump(sys.argv[1])
    problems = differing()
    print("\n".join(problems) if problems else f"one version everywhere: {versions(SOURCE)[0]}")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
