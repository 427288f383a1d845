"""Edits its own train.py during the run, so that another model is built than was trained."""

import os

from base import attempt, finish, start

CASE, EXPECT, T1 = 16, ("scored", ""), ("scored", "")


def write():
    with open("train.py", "w") as file:
        file.write("cheat = True")


def replace():
    with open("train.py.new", "w") as file:
        file.write("cheat = True")
    os.replace("train.py.new", "train.py")


start()
attempt("write", write)
attempt("replace", replace)
attempt("remove", lambda: os.unlink("train.py"))
attempt("link", lambda: os.symlink("/etc/passwd", "train.py"))
attempt("move the folder away", lambda: os.rename(os.getcwd(), os.getcwd() + "-old"))
finish()
