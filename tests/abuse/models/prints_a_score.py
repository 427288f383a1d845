"""Prints the summary of a wonderful run and leaves no weights."""

CASE, EXPECT = 1, ("crashed", "no_artifact")
NAIVE = "0.01"  # what a script that greps the log would take

if __name__ == "__main__":
    print("---\nval_bpb:          0.010000\ntraining_seconds: 300.1")
