"""Writes prepare.py, the tokenizer, git hooks, site-packages, the trusted tree and the score itself."""

import os
import site

from base import DATA, RUN, STATE, attempt, finish, start

CASE, EXPECT, T1 = 9, ("scored", ""), ("scored", "")


def write(path):
    with open(path, "ab") as file:
        file.write(b"# burgled\n")


start()
for name, path in {
    "train.py": "train.py",
    "prepare.py": "prepare.py",
    "a new module beside train.py": "numpy.py",
    "tokenizer": f"{DATA}/public/tokenizer.json",
    "git hook": f"{os.path.dirname(STATE)}/hooks/post-commit",
    "git config": f"{os.path.dirname(STATE)}/config",
    "site-packages": f"{site.getsitepackages()[0]}/burgled.pth",
    "trusted tree": f"{RUN}/trusted/score.py",
    "result": f"{RUN}/result.json",
    "sealed artifact": f"{RUN}/artifact",
    "ledger": f"{STATE}/lab.db",
    "cancel of another run": f"{STATE}/runs/tag/1/99/cancel",
}.items():
    attempt(name, lambda path=path: write(path))
for name, path in {"prepare.py": "prepare.py", "public data": f"{DATA}/public/meta.json"}.items():
    attempt(f"remove {name}", lambda path=path: os.unlink(path))
    attempt(f"truncate {name}", lambda path=path: os.truncate(path, 0))
finish()
