"""Stands in for NVIDIA's library: as many idle cards of one model as SIMULATED_CARDS says."""

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

nvmlMemory_v2, NVML_CLOCK_SM, NVML_TEMPERATURE_GPU, NVML_VOLATILE_ECC = 2, 0, 0, 0
NVML_MEMORY_ERROR_TYPE_UNCORRECTED = nvmlEventTypeXidCriticalError = 1


class NVMLError(Exception):
    """As the library raises it, here for an event that did not come."""


def always(answer: Any) -> Callable[..., Any]:
    """A call that answers the same whatever it is asked."""
    return lambda *asked: answer


nvmlInit = nvmlDeviceRegisterEvents = nvmlEventSetCreate = always(None)
nvmlDeviceGetMigMode = always((0, 0))
nvmlDeviceGetName = always("Simulated")
nvmlSystemGetDriverVersion = always("0.0")
nvmlDeviceGetClockInfo = always(1000)
nvmlDeviceGetCurrentClocksThrottleReasons = nvmlDeviceGetTotalEccErrors = always(0)
nvmlDeviceGetTemperature = always(40)
nvmlDeviceGetUtilizationRates = always(SimpleNamespace(gpu=0))
nvmlDeviceGetMemoryInfo = always(SimpleNamespace(used=0))
nvmlDeviceGetComputeRunningProcesses = nvmlDeviceGetGraphicsRunningProcesses = always([])
nvmlDeviceGetRemappedRows = always((0, 0, 0, 0))


def nvmlDeviceGetCount() -> int:
    return int(os.environ.get("SIMULATED_CARDS", "8"))


def nvmlDeviceGetHandleByIndex(number: int) -> int:
    return number


def nvmlDeviceGetMinorNumber(card: int) -> int:
    return card


def nvmlDeviceGetUUID(card: int) -> str:
    return f"GPU-{card}"


def nvmlEventSetWait_v2(events: object, milliseconds: int) -> None:
    raise NVMLError("nothing came")
