"""Leaves links to what it may not read, for the scorer to follow."""

import os

from base import DATA, OUT, finish, start

CASE, EXPECT = 8, ("rejected", "bad_output")

start()
os.symlink(f"{DATA}/sealed/val.bin", os.path.join(OUT, "model.safetensors"))
finish()
