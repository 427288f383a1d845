"""autoresearch: a coding agent does research overnight, with numbers one can believe."""

import os
import sys

__version__ = "0.1.0"


def plain(path: str) -> str:
    """The same file by an absolute name without `..`, for whoever is in another folder or sees only part of them.

    The folders on a way through `..` need not exist in a sandbox. A link is resolved only on such a way, and never the
    last one: it makes the python of a venv what it is.
    """
    folder, name = os.path.split(path)
    if os.path.isabs(path) and os.pardir not in path.split(os.sep):
        return path
    return os.path.realpath(path) if name == os.pardir else os.path.join(os.path.realpath(folder), name)


# Before anything reads them: `../../env/bin/python -m mcp_server` and a relative PATH or PYTHONPATH leave their marks.
sys.executable = plain(sys.executable) if sys.executable else sys.executable
__path__ = [plain(folder) for folder in __path__]
__file__ = plain(__file__)
