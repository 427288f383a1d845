"""The trusted scorer of language models: bits per byte of a sealed artifact, as one line of JSON.

    python -m mcp_server.scoring.lm        # told by the environment what to score; see `Order`

It imports nothing and opens nothing of the agent's: only two sandboxed hosts look at weights and code. The answer is a
score with its interval and audit, or a rejection with its reason. What cannot be scored for a reason of ours (no
corpus, no sandbox) ends with exit code 1 and a sentence on stderr.

With AUTORESEARCH_WARM it may be started while training runs: corpus and hosts are made ready, and it goes on when it is
told to by a line on its stdin. If its stdin ends instead there is nothing to score.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from mcp_server.nouns.errors import AutoresearchError, CorpusError
from mcp_server.nouns.records import MOST_UNITS, HostUse, Tier
from mcp_server.scoring import tolerances
from mcp_server.scoring.corpus import Split, read_split
from mcp_server.scoring.evaluation import Rejected, Rule, Scored, batch_rows, evaluate, hosts
from mcp_server.scoring.probes import CAUSES
from mcp_server.scoring.remote import Setting
from mcp_server.scoring.tolerances import Table

START_SECONDS = 300.0  # importing torch, building a model and compiling it, on a busy machine
REPLY_SECONDS = 120.0  # one batch
SPLITS: dict[str, Literal["val", "test", "watch"]] = {"val": "val", "test": "test", "watch": "watch"}
UNITS_FILE, UNIT_DIGITS = "documents.json", 12  # nobody but the referee sees them
FEW = 2000  # fit into a line
DIGITS = 7  # the audit leaves 1e-8 bits per byte open, and lower digits could carry validation text to the agent


@dataclass(frozen=True)
class Order:
    """What to score, as the environment says it."""

    artifact: Path
    snapshot: Path
    shown_as: Path  # its name inside a host's T2 sandbox: code must not know which half of a pair it is
    data: Path
    split: Literal["val", "test", "watch"]
    secret: str | None
    positions: int
    suspect_below: float
    device: str
    gpus: tuple[int, ...]
    threads: int
    tier: Tier
    log: Path | None
    start_seconds: float
    reply_seconds: float
    usual: HostUse | None

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Order:
        """Raises CorpusError where a needed variable is missing."""
        for name in ("AUTORESEARCH_ARTIFACT", "AUTORESEARCH_SNAPSHOT", "AUTORESEARCH_DATA"):
            if not env.get(name):
                raise CorpusError(f"{name} is not set. The scorer is started by a run's supervisor, which sets it.")
        cards = env.get("AUTORESEARCH_CARDS", env.get("CUDA_VISIBLE_DEVICES", "0"))
        device = env.get("AUTORESEARCH_DEVICE", "cpu")
        return cls(
            artifact=Path(env["AUTORESEARCH_ARTIFACT"]).resolve(),
            snapshot=Path(env["AUTORESEARCH_SNAPSHOT"]).resolve(),
            shown_as=Path(env.get("AUTORESEARCH_SNAPSHOT_AS") or env["AUTORESEARCH_SNAPSHOT"]).resolve(),
            data=Path(env["AUTORESEARCH_DATA"]).resolve(),
            split=SPLITS.get(env.get("AUTORESEARCH_SPLIT", "val"), "val"),
            secret=env.get("AUTORESEARCH_SECRET"),
            positions=int(env.get("AUTORESEARCH_AUDIT_POSITIONS", "1024")),
            suspect_below=float(env.get("AUTORESEARCH_SUSPECT_BELOW") or "-inf"),
            device=device,
            gpus=tuple(int(card) for card in cards.split(",") if card.isdigit()) if device == "cuda" else (),
            threads=int(env.get("AUTORESEARCH_THREADS", "1")),
            tier=Tier(env.get("AUTORESEARCH_TIER", "T2")),
            log=Path(env["AUTORESEARCH_SCORE_LOG"]) if env.get("AUTORESEARCH_SCORE_LOG") else None,
            start_seconds=float(env.get("AUTORESEARCH_HOST_START_SECONDS", START_SECONDS)),
            reply_seconds=float(env.get("AUTORESEARCH_HOST_REPLY_SECONDS", REPLY_SECONDS)),
            usual=HostUse.model_validate_json(env["AUTORESEARCH_HOSTS_USUAL"])
            if env.get("AUTORESEARCH_HOSTS_USUAL")
            else None,
        )


def score(
    order: Order, table: Table, progress: Callable[[float], None], told: Callable[[], bool] | None = None
) -> Scored | Rejected | None:
    """Read the split, run the two hosts, judge.

    told: makes ready what can be, then waits for this; None is the answer if it says that there is nothing to score.
    """
    split = read_split(order.data, order.split, order.secret)
    setting = _setting(order, split)
    warm = None if told is None else hosts(setting)
    try:
        if told is not None and not told():
            return None
        weights = setting.weights
        if not weights.is_file() or weights.is_symlink():
            words = f"There is no model.safetensors in the sealed artifact. {CAUSES['no_artifact']}"
            return Rejected("no_artifact", words)
        rule = Rule(order.positions, order.suspect_below, lambda precision: table.find(order.device, precision))
        # the operating system's randomness: nothing that the agent has seen predicts the positions
        random = np.random.default_rng(int.from_bytes(os.urandom(16)))
        return evaluate(split, setting, rule, random, progress, warm)
    finally:
        for host in warm or ():
            host.close()


def _setting(order: Order, split: Split) -> Setting:
    return Setting(
        snapshot=order.snapshot,
        shown_as=order.shown_as if order.tier is Tier.T2 else order.snapshot,
        weights=order.artifact / "model.safetensors",
        data=order.data,
        device=order.device,
        threads=order.threads,
        rows=batch_rows(split, order.device),
        width=split.width,
        vocab=split.vocab_size,
        start_seconds=order.start_seconds,
        reply_seconds=order.reply_seconds,
        tokens=split.inputs.size,
        usual=order.usual,
        tier=order.tier,
        gpus=order.gpus,
        log=order.log,
    )


def reply(outcome: Scored | Rejected, calibrated: bool) -> dict[str, object]:
    """The JSON object that the supervisor reads."""
    found = outcome.audit.model_dump() if outcome.audit is not None else None
    if isinstance(outcome, Rejected):
        return {"rejected": outcome.reason, "detail": outcome.detail, "audit": found}
    estimate = outcome.estimate
    return {
        "score": round(estimate.score, DIGITS),
        "interval": [round(bound, DIGITS) for bound in estimate.interval],
        "secondary": {} if calibrated else {"uncalibrated": 1.0},
        "audit": found,
        "hosts": None if outcome.hosts is None else outcome.hosts.model_dump(),
        "units": _units(outcome),
    }


def _units(outcome: Scored) -> dict[str, float] | str:
    """What each document contributes, in a file where the supervisor has a folder for it: there may be many."""
    documents = [] if outcome.documents is None else outcome.documents.tolist()
    units = {f"document {number}": round(share, UNIT_DIGITS) for number, share in enumerate(documents, 1)}
    folder = os.environ.get("AUTORESEARCH_UNITS")
    if len(units) > MOST_UNITS or not folder or not Path(folder).is_dir():
        return units if len(units) <= FEW else {}
    (Path(folder) / UNITS_FILE).write_text(json.dumps(units))
    return UNITS_FILE


def marker(env: Mapping[str, str]) -> Callable[[float], None]:
    """Tells the supervisor how far the scoring is, if it asked to be told."""
    if not env.get("AUTORESEARCH_MARKS"):
        return lambda fraction: None
    fd = int(env["AUTORESEARCH_MARKS"])

    def mark(fraction: float) -> None:
        os.write(fd, (json.dumps({"event": "scored", "fraction": round(fraction, 4)}) + "\n").encode())

    return mark


def main() -> int:
    told = (lambda: bool(sys.stdin.readline())) if os.environ.get("AUTORESEARCH_WARM") else None
    try:
        order, table = Order.of(os.environ), tolerances.read(os.environ.get("AUTORESEARCH_TOLERANCES"))
        outcome = score(order, table, marker(os.environ), told)
    except AutoresearchError as error:
        print(f"scoring: {error}", file=sys.stderr)
        return 1
    if outcome is None:
        return 0
    calibrated = isinstance(outcome, Rejected) or table.known(order.device, outcome.precision)
    print(json.dumps(reply(outcome, calibrated)), flush=True)
    return 0


if __name__ == "__main__":
    gc.freeze()  # what was imported is not taken apart at the end, which takes a sixth of the start
    sys.exit(main())
