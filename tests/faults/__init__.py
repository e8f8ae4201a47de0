"""Faults provoked for real: kills, full disks, failing disks, power loss, damage, two writers, limits.

    python -m pytest tests/faults                            # the short form, part of the gate
    EMBEDCLI_FAULTS=full python -m pytest tests/faults       # every sweep point, 200 kills, 1,000 flips

The promise that is tested: whatever is killed, filled, cut or flipped, the last commit still answers as
before, or one line says what is wrong; never a wrong answer, never a crash.

`failing_io.c` is preloaded into the program to make single calls fail; `corpus.py` holds the files before and
after an update; `stage.py` runs the program on them and says which answers are right; `worker.py` gives many
answers without a new process for each; `power.py` replays what a disk may have kept.
"""

from __future__ import annotations

import os

FULL = os.environ.get("EMBEDCLI_FAULTS") == "full"


def spread(total: int, short: int) -> list[int]:
    """Return which of the calls 1 to `total` to act on: all in the full form, else `short` of them, evenly."""
    if FULL or total <= short:
        return list(range(1, total + 1))
    return sorted({1 + round(step * (total - 1) / (short - 1)) for step in range(short)})
