"""A machine that is not there: eight cards of one model and many cores, for processes that have this folder first."""
