"""The asking of the arena's `view` command, after scoring: shut in, short, and heard by nobody but people.

What it costs, how it fails and what it draws touch neither score nor verdict. It sees the artifact and the first
commit's files, never sealed data, a draw or a secret.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import replace

from mcp_server.nouns.files import remove, write_atomically
from mcp_server.nouns.text import clean_line
from mcp_server.runner.environment import Surroundings, for_view
from mcp_server.runner.pictures.png import clean_png
from mcp_server.runner.pictures.svg import Unfit, clean_svg, drawn_text
from mcp_server.runner.process import limits as limiting
from mcp_server.runner.process.child import Child
from mcp_server.runner.process.limits import Crossed, Limits
from mcp_server.runner.process.listen import hear
from mcp_server.runner.process.stop import Stop

SECONDS = 30.0  # on the wall, or as long as scoring may take where that is less
MEMORY_BYTES = 2e9
WRITTEN_BYTES = 32e6  # in all folders that it may write to
PICTURE_BYTES = 1_000_000
NAMES = ("view.svg", "view.png", "view.txt")  # what the command may leave in $AUTORESEARCH_VIEW


def make(around: Surroundings, allowed: Limits, stop: Stop) -> tuple[str, str]:
    """Run it; the picture's file beside the run, "" without one, and what is to be said of it. Raises nothing."""
    paths = around.paths
    try:
        for older in ("view.svg", "view.png"):
            paths.picture(older).unlink(missing_ok=True)
        remove(paths.drawing)
        paths.drawing.mkdir(mode=0o700)
        limits = replace(allowed, memory_bytes=min(allowed.memory_bytes, MEMORY_BYTES), output_bytes=WRITTEN_BYTES)
        wrong = _run(around, limits, stop)
        if wrong:
            return "", f"No picture: {wrong}"
        name, content = _left(around)
        name, content, said = cleaned(name, content)
        write_atomically(paths.picture(name), content)
    except Unfit as error:
        return "", f"No picture: {error}."
    except OSError as error:
        return "", f"No picture: {error.strerror or error}."
    finally:
        with contextlib.suppress(OSError):
            remove(paths.drawing)
    return name, said


def cleaned(name: str, content: bytes) -> tuple[str, bytes, str]:
    """The name and bytes of a picture that may be shown, and what was left out of it. Pure. Raises Unfit."""
    if len(content) > PICTURE_BYTES:
        raise Unfit(f"{name} is larger than {PICTURE_BYTES // 1000} KB")
    if name.endswith(".png"):
        return name, clean_png(content), ""
    if name.endswith(".svg"):
        return name, *clean_svg(content)
    return "view.svg", drawn_text(content.decode(errors="replace")), ""


def _run(around: Surroundings, limits: Limits, stop: Stop) -> str:
    """What went wrong, "" where nothing did. Raises OSError."""
    around.renew_scratch()

    def written(child: Child) -> Crossed | None:
        in_memory = limiting.memory_files(child.inside)
        if in_memory > limits.memory_bytes:
            return Crossed("out_of_memory", "It wrote more into its memory than it may have.")
        return limiting.output((around.paths.drawing, around.scratch), limits)

    seconds = min(SECONDS, around.spec.score_seconds)
    command, confinement = around.command_line(around.spec.view, around.paths.trusted), for_view(around, limits.tasks)
    ending, status, words = hear(command, confinement, around.tier, seconds, limits, stop, written)
    if isinstance(ending, Crossed):
        return f"the view command was stopped. {ending.detail}"
    if ending == "late":
        return f"the view command took longer than {seconds:g} seconds."
    if ending == "cancelled":
        return "the run was cancelled while it was drawn."
    if status != 0:
        last = (words.strip().splitlines() or [""])[-1]
        return clean_line(f"the view command ended with status {status}. {last}")
    return ""


def _left(around: Surroundings) -> tuple[str, bytes]:
    """The one file that it left, with its name. Raises Unfit, OSError."""
    folder = around.paths.drawing
    found = [name for name in NAMES if os.path.lexists(folder / name)]
    if len(found) != 1:
        what = "it left none of" if not found else "it left more than one of"
        raise Unfit(f"{what} {', '.join(NAMES)} in $AUTORESEARCH_VIEW")
    with open(os.open(folder / found[0], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Unfit(f"{found[0]} is no plain file")
        return found[0], file.read(PICTURE_BYTES + 1)
