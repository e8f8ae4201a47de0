"""How many threads this process may really use, and what kind of CPU it runs on."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path


def usable_cpus() -> int:
    """Return the number of CPUs that affinity and the cgroup quota leave to this process, at least 1.

    A quota of one and a half CPUs counts as one: a second busy thread would only be throttled.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(count, _cgroup_quota())))


def _cgroup_quota() -> float:
    """Return the CPU quota of this process's cgroup in CPUs, infinity where there is none.

    Source: Linux kernel documentation, admin-guide/cgroup-v2 (`cpu.max`) and scheduler/sched-bwc
    (`cpu.cfs_quota_us`).
    """
    try:
        # Version 2 has one line, "0::/path"; inside a container the path is often just "/".
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii", errors="replace").splitlines()
        paths = [line.split(":", 2)[2] for line in lines if line.startswith("0::")]
    except (OSError, IndexError):
        return math.inf
    quota = math.inf
    for path in paths:
        # A parent's limit binds its children, so every level up to the root counts.
        for level in (Path(path), *Path(path).parents):
            quota = min(quota, _read_cpu_max(Path("/sys/fs/cgroup") / level.relative_to("/") / "cpu.max"))
    try:
        legacy = int(Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int(Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return quota
    return min(quota, legacy / period) if legacy > 0 and period > 0 else quota


def _read_cpu_max(path: Path) -> float:
    """Return the quota in one `cpu.max` file ("max 100000" or "150000 100000")."""
    try:
        allowed, period = path.read_text(encoding="ascii").split()
        return math.inf if allowed == "max" else int(allowed) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def cpu_identity() -> str:
    """Return a short hash of the CPU's model and features, for files that are only right on such a CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
        facts = [line for line in lines.splitlines() if line.startswith(("model name", "flags", "Features"))]
    except OSError:
        facts = []
    machine = os.uname().machine if hasattr(os, "uname") else ""
    return hashlib.blake2b("\n".join([machine, *facts]).encode(), digest_size=6).hexdigest()
