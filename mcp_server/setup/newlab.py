"""Makes a folder into a lab: the files of a template, and a repository with a first commit where there is none.

Overwrites nothing, and commits nothing in a repository that exists: what lies there is the user's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_server.arena.frontmatter import has_front_matter
from mcp_server.arena.program import load_program
from mcp_server.nouns.errors import WorkspaceError
from mcp_server.nouns.files import write_atomically
from mcp_server.repo.git import Repository, begin_in, commit_in

LANGUAGE_MODEL = "lm"
LANGUAGE_MODEL_FILES = ("program.md", "prepare.py", "train.py")
ABOUT = "README.md"  # tells of the arena; a repository has its own already
FIRST_COMMIT = "Begin the lab\n\nThe files of autoresearch's template, unchanged."


@dataclass(frozen=True)
class Template:
    """A lab one can start from. `files` maps its paths to where they lie now.

    What several arenas share lies once in arenas/common, with links to it; a lab gets the file.
    """

    name: str
    files: dict[str, Path]

    @property
    def goal(self) -> str:
        return load_program(self.files["program.md"]).arena.goal


@dataclass(frozen=True)
class Written:
    folder: Path
    files: tuple[str, ...]
    commit: str  # "" in a repository that was there already


def templates() -> dict[str, Template]:
    """What ships with this installation: files at the root and in arenas/ of a checkout, else those in the package."""
    package = Path(__file__).resolve().parents[1]
    packaged, root = package / "templates", package.parent
    folders = [path for place in (packaged, root / "arenas") if place.is_dir() for path in place.iterdir()]
    found = {path.name: Template(path.name, _files(path)) for path in folders if (path / "program.md").is_file()}
    if LANGUAGE_MODEL not in found and (root / "program.md").is_file():
        # a checkout: the three files are at the root, where a person finds them
        files = {name: root / name for name in LANGUAGE_MODEL_FILES}
        found[LANGUAGE_MODEL] = Template(LANGUAGE_MODEL, files)
    return dict(sorted(found.items(), key=lambda item: (item[0] != LANGUAGE_MODEL, item[0])))


def _files(folder: Path) -> dict[str, Path]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path for path in paths}


def template(name: str) -> Template:
    """Raises WorkspaceError that lists what there is."""
    known = templates()
    if name not in known:
        raise WorkspaceError(f"There is no template {name!r}. Choose one of: {', '.join(known)}.")
    return known[name]


def write_lab(
    chosen: Template, folder: Path, changes: Mapping[str, bytes] | None = None, *, own_repository: bool = False
) -> Written:
    """Copy a template into `folder`; `changes` replaces some of its files. Raises WorkspaceError, overwrites nothing.

    A repository is begun where there is none; with `own_repository` also inside of one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = [name for name in chosen.files if (folder / name).exists() or (folder / name).is_symlink()]
    files = {name: source for name, source in chosen.files.items() if name != ABOUT or name not in there}
    there = [name for name in there if name in files]
    if there:
        exist = f"{', '.join(there)} exist{'s' if len(there) == 1 else ''} in {folder} already; nothing was written."
        if "program.md" in there and not has_front_matter((folder / "program.md").read_text("utf-8", errors="replace")):
            exist += " To take over a repository that was made for another tool: `autoresearch adopt`."
        raise WorkspaceError(f"{exist} Move them away, or choose an empty folder.")
    for name, source in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (changes or {}).get(name) or source.read_bytes())
    commit = "" if not own_repository and in_repository(folder) else _begin_repository(folder, tuple(files))
    return Written(folder, tuple(files), commit)


def in_repository(folder: Path) -> bool:
    """Whether git knows the folder. What else may be wrong with a repository is left for the verbs to say."""
    try:
        Repository.at(folder)
    except WorkspaceError as error:
        return "is not in a git repository" not in str(error)
    return True


def _begin_repository(folder: Path, files: tuple[str, ...]) -> str:
    begin_in(folder)
    return commit_in(folder, Repository.at(folder).settings(), FIRST_COMMIT, "--", *files)
