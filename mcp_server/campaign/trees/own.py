"""A work tree of its own for another agent: one command each, and their edits never mix."""

from __future__ import annotations

from pathlib import Path

from mcp_server.nouns.errors import GitError, WorkspaceError
from mcp_server.repo.workspace import Workspace


def make_tree(workspace: Workspace, tag: str, from_ref: str, place: str) -> Path:
    """The folder of a work tree beside this one, made if there is none: at the campaign's tip, or at `from_ref`.

    Raises WorkspaceError for a place that is not beside this work tree, or that holds something else.
    """
    here = workspace.paths.tree
    folder = (here / place).resolve()
    if folder == here and (here / ".git").is_file():
        return folder  # asked again from there
    if folder.parent != here.parent or folder == here or not folder.name or folder.name.startswith((".", "-")):
        raise WorkspaceError(
            f"{place} is not a folder beside this work tree. Name one, such as ../{here.name}-2; "
            "for another place use `git worktree add` and start_campaign there."
        )
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        if (folder / ".git").is_file() and Workspace(folder).paths.common == workspace.paths.common:
            return folder
        raise WorkspaceError(f"{place} is not empty and no work tree of this repository. Name a folder that is new.")
    commit = workspace.branch(tag) or workspace.resolve(from_ref)
    try:
        workspace.git.add_tree(folder, commit)
    except GitError as error:
        raise WorkspaceError(f"{error} Name another folder, or make the work tree with `git worktree add`.") from None
    return folder
