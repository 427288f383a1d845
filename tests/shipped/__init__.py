"""Tests of the file under research, train.py, as shipped."""
