"""Leaves folders in folders, deeper than a program that goes down into each can follow."""

import os

from base import OUT, finish, start

CASE, EXPECT, T1 = 15, ("crashed", "output_too_large"), ("crashed", "output_too_large")

start()
at = os.open(OUT, os.O_RDONLY)
for _ in range(5000):
    os.mkdir("x", dir_fd=at)
    below = os.open("x", os.O_RDONLY, dir_fd=at)
    os.close(at)
    at = below
finish()
