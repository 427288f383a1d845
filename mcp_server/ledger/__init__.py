"""The record of every run and decision: SQLite, one transaction per fact.

`lab.db` is the only truth: WAL with full synchronisation, so an acknowledged fact survives a power cut. Every change of
the outside world is written here first as an intent (`vaulted = 0`, `settled = 0`, a run in state queued) and then as
an outcome; `recovery` carries unfinished intents out. Nothing outside this room speaks SQL.
"""

from __future__ import annotations

from mcp_server.ledger.campaigns import Campaigns
from mcp_server.ledger.experiments import Experiments
from mcp_server.ledger.imported import Histories
from mcp_server.ledger.live.events import Events
from mcp_server.ledger.live.orders import Orders
from mcp_server.ledger.live.spending import Spending
from mcp_server.ledger.runs import machine_of

__all__ = ["Ledger", "machine_of"]


class Ledger(Campaigns, Experiments, Histories, Events, Orders, Spending):
    """An open lab.db. Safe for many processes; one thread at a time (the lab holds its lock for each verb).

    Raises LedgerError when the file is damaged, newer than this code, or cannot be written.
    """
