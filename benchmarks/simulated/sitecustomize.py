"""Python imports this by itself where the folder is on PYTHONPATH: the process sees the made-up machine.

The driver's file is this one, the library `pynvml` beside it; sixty-four cores, so that eight runs at once are no load.
"""

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

os.cpu_count = lambda: 64
NVIDIA = "mcp_server.runner.machine.nvidia"


class Finder:
    """Lets the one module that asks about cards find a driver, when and if somebody imports it."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != NVIDIA:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        loader: Any = spec.loader
        execute = loader.exec_module

        def with_driver(module: ModuleType) -> None:
            execute(module)
            vars(module)["DRIVERS"] = (__file__,)

        loader.exec_module = with_driver
        return spec


sys.meta_path.insert(0, Finder())
