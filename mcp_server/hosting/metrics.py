"""What a lab server counts, as Prometheus reads it. No number is of one lab, so that whoever may read may see all."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """The counts of one server, since it began."""

    def __init__(self) -> None:
        self._registry = here = CollectorRegistry()
        ProcessCollector(registry=here)  # processor, memory, open files
        name = "autoresearch_lab_server"
        self.requests = Counter(f"{name}_requests", "Requests by kind and answer.", ["kind", "status"], registry=here)
        self.seconds = Histogram(
            f"{name}_request_seconds", "Until the answer began.", ["kind"], buckets=SECONDS, registry=here
        )
        self.pushed = Counter(f"{name}_pushed_bytes", "Of pushes, as they came in.", registry=here)
        self.moved = Counter(
            f"{name}_refs", "Refs that pushes moved, or that were refused.", ["outcome"], registry=here
        )
        self.labs = Gauge(f"{name}_labs", "Labs whose journals are here.", registry=here)
        self.attempts = Gauge(f"{name}_attempts", "Attempts that they tell of.", registry=here)
        self.leases = Gauge(f"{name}_leases", "Leases that hold.", registry=here)
        self.listeners = Gauge(f"{name}_listeners", "Who follows the feed now.", registry=here)

    def text(self) -> bytes:
        found: bytes = generate_latest(self._registry)
        return found
