"""Made-up logs with the columns of real ones: what tools and forks write, three or four rows each."""

from __future__ import annotations

import json
import random

from mcp_server.views.tables import OWN_COLUMNS, REFERENCE_COLUMNS

REFERENCE = """\
commit\tval_bpb\tmemory_gb\tstatus\tdescription
a1b2c3d\t0.997900\t44.0\tkeep\tbaseline
b2c3d4e\t0.993200\t44.2\tkeep\tMATRIX_LR 0.03 -> 0.04
c3d4e5f\t1.005000\t44.0\tdiscard\tswitch to GeLU activation
d4e5f60\t0.000000\t0.0\tcrash\tdouble model width (OOM)
"""
MORE_NUMBERS = """\
commit\tval_bpb\tmemory_gb\tmfu\tnum_steps\tfinal_loss\tstatus\tdescription
a1b2c3d\t2.335670\t5.5\t58.1\t180\t5.155\tkeep\tbaseline
b2c3d4e\t2.294669\t5.5\t53.7\t167\t3.811\tkeep\tWARMDOWN 0.4→0.3
c3d4e5f\t2.441833\t5.5\t58.1\t180\t4.950\tdiscard\tno warmdown
"""
REASONED = """\
commit\tparent\tscore\thigher_is_better\tstatus\tdescription\treasoning\tconfig_hash
a1b2c3d\t\t0.71\ttrue\tkeep\tbaseline\tstart here\taa11
b2c3d4e\ta1b2c3d\t0.74\ttrue\tkeep\tdeeper trees\tthey underfit\tbb22
c3d4e5f\tb2c3d4e\t0.73\ttrue\tdiscard\tmore trees\tcheap\tcc33
"""
BEFORE_AFTER = """\
iteration\ttimestamp\tcommit\tchange\tmetric_before\tmetric_after\tdelta\ttests\tverdict\treason
1\t2026-03-15T14:32:00Z\tabc1234\tAdd response caching\t142ms\t135ms\t-7\tpass\tKEEP\tstable
2\t2026-03-15T14:37:00Z\tdef5678\tAsync queries\t135ms\t128ms\t-7\tpass\tKEEP\tstable
3\t2026-03-15T14:42:00Z\tabc9012\tInline serializer\t128ms\t131ms\t+3\tpass\tREVERT\tregression
"""
HYPOTHESES = """\
experiment_id,hypothesis,change_summary,metric_before,metric_after,delta,status,timestamp
exp_001,"start, as found",baseline,,0.610,,keep,2026-03-15T14:32:00Z
exp_002,"more data, fewer errors",augment,0.610,0.650,+0.040,keep,2026-03-15T14:50:00Z
exp_003,longer,twice the epochs,0.650,0.640,-0.010,discard,2026-03-15T15:10:00Z
"""
MARKDOWN = """\
| exp | accuracy | decision | notes |
|---|---|---|---|
| 1 | 0.71 | keep | as found |
| 2 | 0.69 | revert | worse |
| 3 | 0.74 | keep | wider |
"""


def own(*rows: dict[str, object]) -> str:
    """Our own table, with what the rows say and empty cells for all else."""
    same = {"metric": "val_bpb", "unit": "bits/byte", "direction": "minimize", "runs": 1, "seeds": "7 8"}
    columns = (*REFERENCE_COLUMNS, *OWN_COLUMNS)
    lines = ["\t".join(str({**same, **row}.get(name, "")) for name in columns) for row in rows]
    return "\n".join(["\t".join(columns), *lines]) + "\n"


OWN = own(
    {"experiment": 1, "commit": "a1b2c3d", "val_bpb": "1.500000", "score": 1.5, "status": "keep", "outcome": "kept",
     "description": "baseline: unchanged code", "label": "baseline", "at": "2026-03-15T14:32:00Z"},
    {"experiment": 2, "commit": "b2c3d4e", "val_bpb": "1.480000", "score": 1.48, "status": "keep", "outcome": "kept",
     "description": '"LR: ""high"" to low"', "gain": "+0.02", "at": "2026-03-15T14:42:00Z"},
    {"experiment": 3, "commit": "c3d4e5f", "status": "crash", "outcome": "crashed", "reason": "oom",
     "description": "broken", "at": "2026-03-15T14:52:00Z"},
)  # fmt: skip
PI = "\n".join(
    json.dumps(entry)
    for entry in (
        {"type": "config", "name": "speed", "metricName": "total_µs", "metricUnit": "µs", "bestDirection": "lower"},
        {"run": 1, "commit": "c09e722", "metric": 3818, "metrics": {"parse_µs": 27}, "status": "keep",
         "description": "Baseline: 3,818µs", "timestamp": 1773348490227},
        {"run": 2, "commit": "c09e722", "metric": 4063, "metrics": {}, "status": "discard",
         "description": "interning", "timestamp": 1773348738557, "segment": 0, "asi": {"why": "slower loop"}},
        {"run": 3, "commit": "c09e722", "metric": 0, "metrics": {}, "status": "checks_failed",
         "description": "regex", "timestamp": 1773348781481, "segment": 0},
        {"run": 4, "commit": "b7ae55f", "metric": 3556, "metrics": {}, "status": "keep",
         "description": "byteindex", "timestamp": 1773348883093, "segment": 0},
    )
)  # fmt: skip
JOURNAL = "\n".join(
    json.dumps(entry)
    for entry in (
        {"v": 1, "kind": "lab", "name": "north"},
        {"v": 1, "kind": "attempt", "n": 1, "mark": "0" * 16, "contract": "1" * 32, "code": "2" * 32,
         "role": "baseline", "status": "kept", "score": 1.5, "at": "2026-03-15T14:32:00Z", "text": "baseline"},
        {"v": 1, "kind": "attempt", "n": 2, "mark": "3" * 16, "contract": "1" * 32, "code": "4" * 32, "status": "kept",
         "score": 1.4, "against": 1.5, "gain": 0.1, "at": "2026-03-15T15:32:00Z", "text": "RATE: 1 → 2"},
        {"v": 1, "kind": "attempt", "n": 3, "mark": "5" * 16, "contract": "1" * 32, "code": "6" * 32,
         "status": "crashed", "at": "2026-03-15T16:32:00Z", "text": "too wide"},
    )
)  # fmt: skip

# numbers of attempts, nested configurations with their seed, a reviewer's words for outcomes
NUMBERED = "\n".join(
    json.dumps({"experiment_num": number, "config": {"seed": 7}, "val_rmse": score, "status": status, "idea": "deeper"})
    for number, score, status in ((1, 23.1, "baseline"), (2, 22.4, "approved"), (3, 22.9, "REJECT"))
)

# name of the file: (its text, metric, direction, rows, statuses in order)
SHAPES = {
    "results.tsv": (REFERENCE, "val_bpb", "minimize", ["kept", "kept", "discarded", "crashed"]),
    "more.tsv": (MORE_NUMBERS, "val_bpb", "minimize", ["kept", "kept", "discarded"]),
    "reasoned.tsv": (REASONED, "score", "maximize", ["kept", "kept", "discarded"]),
    "before.tsv": (BEFORE_AFTER, "metric", "minimize", ["kept", "kept", "discarded"]),
    "hypotheses.csv": (HYPOTHESES, "metric", "maximize", ["kept", "kept", "discarded"]),
    "table.md": (MARKDOWN, "accuracy", "maximize", ["kept", "discarded", "kept"]),
    "own.tsv": (OWN, "val_bpb", "minimize", ["kept", "kept", "crashed"]),
    "autoresearch.jsonl": (PI, "total_µs", "minimize", ["kept", "discarded", "crashed", "kept"]),
    "numbered.jsonl": (NUMBERED, "val_rmse", "minimize", ["kept", "kept", "discarded"]),
    "records.jsonl": (JOURNAL, "score", "minimize", ["kept", "kept", "crashed"]),
}


def clean() -> str:
    """A log with nothing to find: large gains, two measured repeats, no gap, steps that come and go by themselves."""
    draw = random.Random(1)
    lines = ["run\tcommit\tval_bpb\tnum_steps\tstatus\tdescription\ttimestamp"]
    score, best = 1.0, 1.0
    for number in range(1, 25):
        steps = 950 + draw.randint(-5, 5)
        if number == 1:
            status, words = "keep", "baseline"
        elif number in (2, 3):
            status, words, score = "discard", "repeat of the baseline", 1.0 + 0.0002 * (-1) ** number
        elif number % 3 == 0:
            best -= 0.02 + 0.005 * draw.random()
            status, words, score = "keep", f"idea {number}: another part of the model", best
        else:
            status, words, score = "discard", f"idea {number}: a thing that hurts", best + 0.03 * (1 + draw.random())
        at = f"2026-03-15T{10 + number // 6:02d}:{number % 6 * 10:02d}:00Z"
        lines.append(f"{number}\tabc{number:04d}\t{score:.6f}\t{steps}\t{status}\t{words}\t{at}")
    return "\n".join(lines) + "\n"


def planted() -> str:
    """A log with every fault that an audit looks for, each where `FAULTS` says."""
    rows = [
        # (run, score, steps, status, words, minutes)
        (1, 1.0000, 900, "keep", "baseline", 0),
        (2, 0.9990, 905, "keep", "slightly wider", 6),
        (3, 0.9960, 925, "keep", "seed 42 -> 137", 12),  # the seed, kept as a win
        (4, 0.9950, 931, "keep", "rotary base of the attention", 18),  # inside the noise
        (5, 0.9965, 922, "keep", "no bias terms anywhere", 24),  # not better than the best before
        (6, 1.0100, 840, "discard", "GeLU instead of the square", 30),
        (7, 1.0120, 831, "discard", "twice the depth of the model", 36),
        (10, 1.0090, 846, "discard", "GeLU instead of the square", 42),  # again; 8 and 9 are missing
        (11, 0.9940, 938, "keep", "fused kernels in the loop", 48),
        (12, 0.9930, 944, "keep", "smaller vocabulary table", 300),  # after a long pause
        (13, 0.9990, 908, "discard", "dropout of a tenth", 306),
        (14, 0.9925, 947, "keep", "warm up for less long", 312),
    ]
    lines = ["run\tcommit\tval_bpb\tnum_steps\tstatus\tdescription\ttimestamp"]
    for number, score, steps, status, words, minutes in rows:
        at = f"2026-03-15T{10 + minutes // 60:02d}:{minutes % 60:02d}:00Z"
        lines.append(f"{number}\tabc{number:04d}\t{score:.6f}\t{steps}\t{status}\t{words}\t{at}")
    lines.insert(8, "8\tabc0008\tnot measured")  # line 9: cannot be read
    return "\n".join(lines) + "\n"


FAULTS = (
    *("unreadable", "unresolvable", "not_better", "within_noise", "seed_only", "duplicates", "gaps", "steps"),
    *("winners_curse", "false_keeps"),
)
