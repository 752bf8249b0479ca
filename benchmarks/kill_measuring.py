#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills a measuring run at random moments, resumes it, and compares the tables.

usage: python benchmarks/kill_measuring.py [--moments 20] [--workers 2] [--seed 0] [--keys 40]

What `tinytailor measure` does is killed: SIGKILL to its process alone, as by the out-of-memory
killer, at a moment drawn evenly from the time that an undisturbed run takes. The same is started
again and runs to its end. The table must have the rows of the undisturbed one, and no process of
the killed run may be left. Every moment starts from nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tinytailor.compiler.ops.window import Window
from tinytailor.latency_tables import LatencyTable

LEFT_SECONDS = 60.0  # after which no process may be left, on a busy machine


def command(path: Path, keys: int, workers: int) -> list[str]:
    """This very file, measuring ``keys`` operators."""
    return [sys.executable, __file__, "--measure", str(path), str(keys), str(workers)]


def measure_some(path: Path, count: int, workers: int) -> None:
    """Small convolutions, in images of two, by what is behind `tinytailor measure`."""
    from tinytailor.latency_tables.measuring.pool import hide_torch

    hide_torch()
    from tinytailor.compiler.opkey import make_key
    from tinytailor.compiler.ops import Conv2d
    from tinytailor.latency_tables.measuring import batches
    from tinytailor.latency_tables.measuring.measure import measure
    from tinytailor.targets import cross_toolchain, load_target, require_board

    board = require_board(load_target("nucleo-f446re"), "measuring")
    keys = [
        make_key(Conv2d(n, Window((3, 1))), ((1, 12, 1, 8),), "dsp") for n in range(1, count + 1)
    ]
    batches.MOST_KERNELS = 2
    measure(keys, board, cross_toolchain(), path, workers=workers)


def rows(path: Path) -> dict[str, Any]:
    """Everything but dates: the rows, and the header."""
    table = LatencyTable.load(path)
    found = {key.text: {**table[key].to_json(), "date": ""} for key in table}
    return {"header": {**table.header.to_json(), "created": ""}, **found}


def family(session: int) -> list[int]:
    """The processes of a session that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def killed(path: Path, words: list[str], after: float) -> tuple[bool, int, float]:
    """Whether it was killed before its end, rows it left, seconds until no process was left."""
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
    begun = time.monotonic()
    while left := family(process.pid):
        if time.monotonic() - begun > LEFT_SECONDS:
            raise SystemExit(f"processes {left} outlived their parent by {LEFT_SECONDS:g} s")
        time.sleep(0.05)
    kept = len(LatencyTable.load(path)) if path.exists() else 0
    return process.returncode == -signal.SIGKILL, kept, time.monotonic() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keys", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="tinytailor-kill-") as name:
        whole = Path(name) / "whole.jsonl"
        begun = time.monotonic()
        subprocess.run(
            command(whole, arguments.keys, arguments.workers), stderr=subprocess.DEVNULL, check=True
        )
        duration, expected = time.monotonic() - begun, rows(whole)
        print(f"undisturbed: {len(expected) - 1} rows in {duration:.1f} s", flush=True)
        equal = kills = 0
        while kills < arguments.moments:
            path = Path(name) / "killed.jsonl"
            path.unlink(missing_ok=True)
            words = command(path, arguments.keys, arguments.workers)
            moment = rng.uniform(0, duration)
            early, kept, left = killed(path, words, moment)
            if not early:  # it was faster this time
                duration = moment
                continue
            kills += 1
            subprocess.run(words, stderr=subprocess.DEVNULL, check=True)
            same = rows(path) == expected
            equal += same
            print(
                f"{kills:2} killed at {moment:5.1f} s with {kept:2} rows kept, all processes gone "
                f"after {left:.2f} s; resumed: {'the same table' if same else 'ANOTHER TABLE'}",
                flush=True,
            )
    print(f"{equal} of {arguments.moments} tables are the same as the undisturbed one")
    return int(equal != arguments.moments)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure_some(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(main())
