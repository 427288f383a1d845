"""Reads the validation and test data, the ledger, the trusted tree, another run's weights and root's secrets."""

import glob
import os

from base import DATA, RUN, STATE, attempt, finish, start

CASE, EXPECT, T1 = 8, ("scored", ""), ("scored", "")


def read(path):
    with open(path, "rb") as file:
        return file.read(1)


def read_by_link(path):
    link = f"{RUN}/out/link"
    os.symlink(path, link)
    try:
        read(link)
    finally:
        os.unlink(link)


def read_by_process():
    roots = [root for root in glob.glob("/proc/[0-9]*/root") if os.path.exists(f"{root}{STATE}/lab.db")]
    read(f"{roots[0]}{STATE}/lab.db")


start()
assert read(f"{DATA}/public/meta.json")  # this half is for training
for name in ("val.bin", "test_pool.bin"):
    attempt(f"sealed {name}", lambda name=name: read(f"{DATA}/sealed/{name}"))
    attempt(f"sealed {name} by way of public", lambda name=name: read(f"{DATA}/public/../sealed/{name}"))
    attempt(f"sealed {name} by a link", lambda name=name: read_by_link(f"{DATA}/sealed/{name}"))
attempt("ledger", lambda: read(f"{STATE}/lab.db"))
attempt("another run", lambda: read(f"{STATE}/runs/tag/1/99/artifact/model.safetensors"))
attempt("spec with the exam's secret", lambda: read(f"{RUN}/spec.json"))
attempt("trusted tree", lambda: read(f"{RUN}/trusted/score.py"))
attempt("shadow", lambda: read("/etc/shadow"))
attempt("ledger through another process", read_by_process)
finish()
