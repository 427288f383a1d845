"""What the ledger keeps of a decision: the numbers and the sentence it was made with, typed and versioned.

Written once, when an experiment is decided, and never changed but by git's answer ("overtaken"). Rows of older versions
are read tolerantly: a field they lack has its default, and one that is not what it should be counts as lacking.
"""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidatorFunctionWrapHandler, field_validator

NORMAL_95 = 1.96  # standard deviations on either side
VERSION = 2  # 1 had no version, no degrees, no interval and no comparison


class Decided(BaseModel):
    """A decision's evidence. Gains are positive when better, in the arena's unit; None was not measured."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    version: int = 1
    decision: str = ""  # keep, discard or confirm: the referee's own view, whoever decided
    code: str = ""  # the same reason for machines (docs/reasons.md)
    reason: str = ""
    outcome: str = ""  # the status that the experiment ended with
    score: float | None = None  # in the arena's direction
    change: float | None = None  # measured gain over the incumbent of its time
    low: float | None = None  # 95 % interval of the true gain
    high: float | None = None
    noise_widths: float | None = None
    probability: float | None = None  # that it is truly better
    width: float | None = None  # standard deviation of the comparison
    degrees: float | None = None  # of freedom behind the width
    believed: float | None = None  # the gain one should believe
    comparison: str = ""  # slot or apart: how candidate and incumbent were compared
    share: float | None = None  # variance of the comparison, in that of one plain difference
    squares: float = 0.0  # scatter of its own differences about their mean
    first: float | None = None  # gain of the first look alone, where all were taken in slots
    within_machine: bool = False  # what the machine itself moved could explain the whole difference
    evidence: float | None = None  # e-value of this look against "nothing here is better"
    lying: float = 1.0  # what attempts that lay undecided then had lost of the night's bet
    lost: float = 0.0  # of the allowance for simplifications
    # of the examples whose contributions were paired, as far as an agent may see them
    units: int = 0
    better: int = 0
    worse: int = 0
    flipped: tuple[str, ...] = ()  # "name +0.01", the largest first
    seeds: tuple[int, ...] = ()
    looks: int = 0  # runs of the candidate that were spent on this, those without a score included
    against: int | None = None  # number of the incumbent
    machine: str = ""

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the true gain; of a record that has only a width, from the width. None if not measured."""
        if self.low is not None and self.high is not None:
            return self.low, self.high
        if self.change is None or self.width is None:
            return None
        return self.change - NORMAL_95 * self.width, self.change + NORMAL_95 * self.width

    @property
    def told_apart(self) -> bool:
        """Whether the gain differs from nothing: its interval leaves zero out, and it is no matter of the machine."""
        edges = self.interval
        return edges is not None and not self.within_machine and not edges[0] <= 0.0 <= edges[1]

    @property
    def examples(self) -> str:
        """`12 better, 3 worse of 400`; "" where nothing is told of single examples."""
        return f"{self.better:,} better, {self.worse:,} worse of {self.units:,}" if self.units else ""

    @property
    def doubt(self) -> str:
        """Why a measured gain says nothing; "" when it does, or when nothing is known of its noise."""
        if self.change is None or (self.interval is None and not self.within_machine) or self.told_apart:
            return ""
        return "within what the machine moved" if self.within_machine else "within noise"

    @field_validator("*", mode="wrap")
    @classmethod
    def _tolerant(cls, value: Any, inner: ValidatorFunctionWrapHandler, info: Any) -> Any:
        default = cls.model_fields[info.field_name].default
        try:
            found = inner(value)
        except ValueError:
            return default
        # JSON knows no infinity, and a view must not meet one
        return default if isinstance(found, float) and not math.isfinite(found) else found

    @classmethod
    def read(cls, text: str | None) -> Decided:
        """From the ledger's JSON; an empty record where there is none, or nothing that could be read."""
        try:
            return cls.model_validate_json(text) if text else cls()
        except ValueError:
            return cls()

    def text(self) -> str:
        """As the ledger stores it: without what is at its default, but for the version."""
        return self.model_copy(update={"version": VERSION}).model_dump_json(exclude_defaults=True)


UNDECIDED = Decided()
