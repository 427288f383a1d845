"""What `nvidia-smi` tells about GPUs. Asks only; never resets a card or changes a setting.

Where there is no driver every answer is empty, at the cost of one look for the program.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

SECONDS = 10.0  # the driver can hang on a card that fell off the bus
HELD_MB = 512.0  # memory in use with no process listed: a dead run's, not the driver's own
IDLE_REASONS = frozenset({"0x0000000000000000", "0x0000000000000001"})  # none, or idle


@cache
def _program() -> str | None:
    return shutil.which("nvidia-smi")


def _ask(*words: str) -> list[list[str]]:
    """Rows of comma-separated answers; none when there is no driver or it does not answer."""
    program = _program()
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, *words, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode != 0:
        return []
    return [[word.strip() for word in line.split(",")] for line in done.stdout.splitlines() if line.strip()]


@cache
def cards() -> tuple[int, ...]:
    """Numbers of the GPUs of this machine, in the order of the bus."""
    return tuple(int(row[0]) for row in _ask("--query-gpu=index") if row[0].isdigit())


@dataclass(frozen=True)
class Card:
    """A GPU's state at one moment; None for what it does not tell."""

    identity: str
    driver: str | None
    clock_mhz: float | None
    throttled: bool | None
    temperature_c: float | None
    utilisation: float | None  # 0..1
    memory_used_mb: float | None


def card(number: int) -> Card | None:
    """The state of one card, or None if the driver does not answer."""
    fields = (
        "name,uuid,driver_version,clocks.sm,clocks_throttle_reasons.active,temperature.gpu,utilization.gpu,memory.used"
    )
    rows = _ask(f"--id={number}", f"--query-gpu={fields}")
    if not rows or len(rows[0]) != 8:
        return None
    name, uuid, driver, clock, reasons, temperature, utilisation, memory = rows[0]
    busy = _number(utilisation)
    return Card(
        identity=f"{name} {uuid}",
        driver=driver or None,
        clock_mhz=_number(clock),
        throttled=reasons not in IDLE_REASONS if reasons.startswith("0x") else None,
        temperature_c=_number(temperature),
        utilisation=None if busy is None else busy / 100,
        memory_used_mb=_number(memory),
    )


@cache
def model(number: int) -> str:
    """The name of a card's model; cards of one model can be compared."""
    rows = _ask(f"--id={number}", "--query-gpu=name")
    return rows[0][0] if rows else ""


def compute_processes(number: int) -> tuple[str, ...]:
    """Names of the programs that compute on the card now."""
    rows = _ask(f"--id={number}", "--query-compute-apps=pid,process_name")
    return tuple(f"{','.join(row[1:])} ({row[0]})" for row in rows if len(row) >= 2)


def memory_held(number: int) -> float | None:
    """MB in use although no process computes on the card; None when it is free or the driver does not tell."""
    state = card(number)
    if state is None or state.memory_used_mb is None or state.memory_used_mb < HELD_MB:
        return None
    return None if compute_processes(number) else state.memory_used_mb


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None  # "[N/A]"
