"""Leaves a great many empty files."""

import os

from base import OUT, finish, start

CASE, EXPECT = 15, ("crashed", "output_too_large")
BUDGET = {"seconds": 60}

start()
for number in range(10_050):
    os.close(os.open(os.path.join(OUT, str(number)), os.O_CREAT | os.O_WRONLY))
finish(0.1)
