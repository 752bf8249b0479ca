# SPDX-License-Identifier: Apache-2.0
"""Work that costs nothing, and a process that hands it to a pool: what pools do when killed.

python pooled.py FOLDER     each of many tasks leaves a file with the id of its process
"""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from tinytailor.latency_tables.measuring.pool import Pool, results


def number(n: int) -> int:
    return n


def kill_the_worker(parent: int, n: int) -> int:
    """The second task does not come back: its process dies."""
    if n == 1 and os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def leave_a_mark(folder: Path, n: int) -> int:
    (folder / f"{n}.{os.getpid()}").touch()
    time.sleep(0.2)
    return n


if __name__ == "__main__":
    where = Path(sys.argv[1])
    try:
        for done in results(partial(leave_a_mark, where), range(1000), Pool(2)):
            (where / f"{done}.kept").touch()
    except KeyboardInterrupt:
        (where / "interrupted").touch()
