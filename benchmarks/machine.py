"""The machine on which figures were measured, without which they have no meaning."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

from agents.embedded.runtime import KAFKA_VERSION

PACKAGES: Final = ("aiokafka", "faust-streaming", "msgspec", "orjson", "prometheus-client")


def describe() -> dict[str, object]:
    """Return the date and the known properties of the machine. Figures of two machines are not comparable."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "kafka": KAFKA_VERSION,
        "java": _java(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }


def line(machine: dict[str, object]) -> str:
    """Return the description as a sentence."""
    return (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}, Kafka {machine['kafka']}; load before: {machine['load_before']}"
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found[1].strip() if found else platform.processor()


def _java() -> str | None:
    java = shutil.which("java")
    if java is None:
        return None
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    return output.splitlines()[0] if output else None
