# SPDX-License-Identifier: Apache-2.0
"""The job that the worker process is given, and what it hands back, as files in a folder."""

from __future__ import annotations

import array
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinytailor.targets.board import Board
from tinytailor.targets.emulator.accounting import Ledger, make_runs
from tinytailor.targets.emulator.counter import counter_library
from tinytailor.targets.emulator.records import Buffer, Call, CallResult, Counts
from tinytailor.targets.errors import ToolError
from tinytailor.targets.image import LoadedImage, load_image
from tinytailor.targets.placement import (
    GUARD_BYTES,
    PAINT,
    POISON,
    check_flash,
    fault,
    function_address,
    place,
    static_gaps,
    trespass,
)

_STOPS = (0x1FFFF000, 0x0FFFF000, 0x07FFF000)  # a page of the code area that no memory uses
_WORKER = "tinytailor.targets.emulator.worker"


class Input:
    """Bytes for the worker; equal pieces are stored once."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._offsets: dict[bytes, int] = {}

    def add(self, piece: bytes) -> int:
        if piece not in self._offsets:
            self._offsets[piece] = len(self._data)
            self._data += piece
        return self._offsets[piece]

    def write(self, path: Path) -> None:
        path.write_bytes(self._data)


def run_job(
    image: Path,
    board: Board,
    calls: Sequence[Call],
    regions: Mapping[str, str],
    count: bool,
    on_progress: Callable[[int], None] | None,
    timeout_s: float,
) -> list[CallResult]:
    """See ``targets.emulator.run``."""
    loaded = load_image(image)
    names = ["", *dict.fromkeys(name for name in regions.values() if name)]
    with tempfile.TemporaryDirectory(prefix="tinytailor-") as name:
        folder = Path(name)
        data = Input()
        job = _job(image, loaded, board, calls, data, timeout_s)
        job["n_regions"] = len(names)
        job["entries"] = [
            [function_address(image, loaded.sizes, symbol), names.index(region)]
            for symbol, region in regions.items()
        ]
        job["count"] = count
        hooked = count or board.core.aligned_only
        job["counter_library"] = str(counter_library()) if hooked else None
        (folder / "job.json").write_text(json.dumps(job))
        data.write(folder / "input.bin")
        _work(folder, on_progress)
        result = json.loads((folder / "result.json").read_text())
        if result["fault"] is not None:
            call, pc, message, changed = result["fault"]
            if changed is not None:
                start, before, after = changed
                message = trespass(loaded.sizes, start, bytes.fromhex(before), bytes.fromhex(after))
            raise fault(image, loaded.sizes, calls, call, pc, message, "the emulated core")
        counts: list[dict[str, Counts]] = [{} for _ in calls]
        if count:
            edges = [call["edges"] for call in result["calls"]]
            regions_of = [call["regions"] for call in result["calls"]]
            code = (folder / "code.bin").read_bytes()
            counts = counts_of_calls(folder, code, edges, regions_of, names, board)
        outputs = _outputs(folder, calls)
    done = zip(outputs, counts, result["calls"], strict=True)
    return [CallResult(output, count, call["stack_bytes"]) for output, count, call in done]


def _job(
    image: Path,
    loaded: LoadedImage,
    board: Board,
    calls: Sequence[Call],
    data: Input,
    timeout_s: float,
) -> dict[str, Any]:
    check_flash(image, loaded, board)
    taken = (board.flash, board.ram)
    return {
        "cpu": board.core.emulated_as,
        "aligned_only": board.core.aligned_only,
        "flash": [board.flash.base, board.flash.bytes],
        "vectors": board.flash.base + board.boot_bytes,
        "ram": [board.ram.base, board.ram.bytes],
        "stop": next(page for page in _STOPS if not any(m.contains(page) for m in taken)),
        "segments": [[s.address, data.add(s.data), len(s.data)] for s in loaded.segments],
        "static_gaps": static_gaps(loaded, board),
        "main": function_address(image, loaded.sizes, "main"),
        "functions": loaded.functions,
        "poison": POISON,
        "paint": PAINT,
        "guard": GUARD_BYTES,
        "timeout_s": timeout_s,
        "calls": [_place(image, loaded, board, call, data) for call in calls],
    }


def _place(
    image: Path, loaded: LoadedImage, board: Board, call: Call, data: Input
) -> dict[str, Any]:
    """Addresses of one call, and where the worker finds the contents of its buffers."""
    where = place(image, loaded, board, call)
    buffers = [
        [at, b.size, None if b.data is None else data.add(b.data), b.read_back, b.constant]
        for at, b in zip(where.buffers, call.buffers, strict=True)
    ]
    return {
        "entry": where.entry,
        "buffers": buffers,
        "gaps": where.gaps,
        "stack_low": where.stack_low,
        "stack": where.stack,
    }


def _work(folder: Path, on_progress: Callable[[int], None] | None) -> None:
    command = [sys.executable, "-P", "-m", _WORKER, str(folder)]
    with (folder / "errors.txt").open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        with process:
            try:
                for line in process.stdout or ():
                    if on_progress is not None:
                        on_progress(int(line))
            except BaseException:
                process.kill()
                raise
    if process.returncode != 0:
        lines = (folder / "errors.txt").read_text().strip().splitlines()
        last = lines[-1] if lines else "it said nothing"
        raise ToolError(f"the emulator process failed (exit {process.returncode}): {last}")


def counts_of_calls(
    folder: Path,
    code: bytes,
    edges: Sequence[int],
    regions: Sequence[Sequence[int]],
    names: Sequence[str],
    board: Board,
) -> list[dict[str, Counts]]:
    """Counts by region of each call from blocks.bin, edges.bin and the code of all blocks.

    ``edges`` are how many edges each call has, ``regions`` its rows of ``edges.h``, in one piece.
    """
    from tinytailor.targets.cycles import cycle_model  # loads capstone

    name = board.core.cycle_model
    model = None if name is None else cycle_model(name)
    ledger = Ledger(make_runs(_integers(folder / "blocks.bin"), code, model), names, model)
    rows, at = _integers(folder / "edges.bin"), 0
    counts = []
    for taken, region_rows in zip(edges, regions, strict=True):
        end = at + 3 * taken
        counts.append(ledger.counts(rows[at:end], region_rows))
        at = end
    return counts


def _integers(path: Path) -> array.array[int]:
    return array.array("q", path.read_bytes())


def _outputs(folder: Path, calls: Sequence[Call]) -> list[tuple[bytes, ...]]:
    data, at = memoryview((folder / "output.bin").read_bytes()), 0

    def take(buffer: Buffer) -> bytes:
        nonlocal at
        at += buffer.size
        return bytes(data[at - buffer.size : at])

    return [tuple(take(b) for b in call.buffers if b.read_back) for call in calls]
