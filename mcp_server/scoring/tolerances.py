"""How far apart an honest model's answers may be, per backend and dtype: measured, not guessed.

The package's table holds what was measured on CPUs (`seen`: the largest difference in nats); a lab's own calibration is
laid over it. A backend that nobody calibrated gets a wide tolerance ("any"), and `known` says so. A wide tolerance lets
no false score through: what the audit finds is corrected in the score. It only rejects later.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.refusals import first
from mcp_server.scoring.audit import Tolerance

PACKAGED = "tolerances.json"


class Entry(BaseModel):
    """Nats that rounding alone may explain."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    largest: float = Field(gt=0)
    mean: float = Field(gt=0)


class Table(BaseModel):
    """Entries by "backend/dtype"."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    entries: dict[str, Entry]

    def find(self, device: str, precision: str) -> Tolerance:
        """The tolerance for a model of this dtype on this backend."""
        entry = self.entries.get(f"{device}/{precision}") or self.entries[f"any/{precision}"]
        return Tolerance(entry.largest, entry.mean)

    def known(self, device: str, precision: str) -> bool:
        """Whether this backend was calibrated."""
        return f"{device}/{precision}" in self.entries


def read(path: str | Path | None) -> Table:
    """The package's table with the lab's own at `path` laid over it. Raises AutoresearchError if that is no table."""
    packaged = Table.model_validate_json(resources.files("mcp_server.scoring").joinpath(PACKAGED).read_bytes())
    if not path or not Path(path).exists():
        return packaged
    try:
        own = Table.model_validate_json(Path(path).read_bytes())
    except (OSError, ValidationError) as error:
        why = first(error) if isinstance(error, ValidationError) else error
        raise AutoresearchError(
            f"{path} is no table of tolerances ({why}). Run `autoresearch doctor --calibrate`."
        ) from error
    return Table(entries=packaged.entries | own.entries)
