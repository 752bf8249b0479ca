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
from tinytailor.targets.cycles import CycleModel
from tinytailor.targets.emulator.accounting import Ledger, make_blocks
from tinytailor.targets.emulator.counter import counter_library
from tinytailor.targets.emulator.records import Buffer, Call, CallResult
from tinytailor.targets.errors import CheckError, InputError, ToolError
from tinytailor.targets.image import ImageSizes, LoadedImage, load_image

POISON, PAINT = 0xA5, 0xC3  # free RAM, free stack
ALIGNMENT = 16
MIN_STACK_BYTES = 1024
GUARD_BYTES = 256  # at the end of the stack; a frame larger than this may jump over it unnoticed
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
    model: CycleModel | None,
    on_progress: Callable[[int], None] | None,
    timeout_s: float,
) -> list[CallResult]:
    """See ``targets.emulator.run``; counts where there is a cycle model."""
    loaded = load_image(image)
    names = ["", *dict.fromkeys(name for name in regions.values() if name)]
    with tempfile.TemporaryDirectory(prefix="tinytailor-") as name:
        folder = Path(name)
        data = Input()
        job = _job(image, loaded, board, calls, data, timeout_s)
        job["n_regions"] = len(names)
        job["entries"] = [
            [_function(image, loaded.sizes, symbol), names.index(region)]
            for symbol, region in regions.items()
        ]
        job["count"] = model is not None
        hooked = model is not None or board.core.aligned_only
        job["counter_library"] = str(counter_library()) if hooked else None
        (folder / "job.json").write_text(json.dumps(job))
        data.write(folder / "input.bin")
        _work(folder, on_progress)
        result = json.loads((folder / "result.json").read_text())
        if result["fault"] is not None:
            raise _fault(image, loaded.sizes, calls, *result["fault"])
        counts = _counts(folder, result["calls"], names, model)
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
    for segment in loaded.segments:
        end = segment.address + len(segment.data)
        if not (board.flash.contains(segment.address) and end <= board.flash.end):
            raise InputError(
                f"{image}: {segment.address:#x}..{end:#x} lies outside the flash of {board.name}; "
                "was it built for another board?"
            )
    taken = (board.flash, board.ram)
    return {
        "cpu": board.core.emulated_as,
        "aligned_only": board.core.aligned_only,
        "flash": [board.flash.base, board.flash.bytes],
        "ram": [board.ram.base, board.ram.bytes],
        "stop": next(page for page in _STOPS if not any(m.contains(page) for m in taken)),
        "segments": [[s.address, data.add(s.data), len(s.data)] for s in loaded.segments],
        "main": _function(image, loaded.sizes, "main"),
        "poison": POISON,
        "paint": PAINT,
        "guard": GUARD_BYTES,
        "timeout_s": timeout_s,
        "calls": [_place(image, loaded, board, call, data) for call in calls],
    }


def _place(
    image: Path, loaded: LoadedImage, board: Board, call: Call, data: Input
) -> dict[str, Any]:
    """Addresses of the buffers and of the stack of one call."""
    buffers, at = [], max(loaded.ram_end, board.ram.base)
    for buffer in call.buffers:
        at = -(-at // ALIGNMENT) * ALIGNMENT
        offset = None if buffer.data is None else data.add(buffer.data)
        buffers.append([at, buffer.size, offset, buffer.read_back])
        at += buffer.size
    on_stack = 4 * max(0, len(call.buffers) - 4)
    stack = (board.ram.end - on_stack) // 8 * 8
    least = MIN_STACK_BYTES + GUARD_BYTES
    if at + least > stack:
        raise InputError(
            f"{call.symbol} of {image.name}: {at - board.ram.base} bytes of static data and "
            f"buffers leave less than {least} of the {board.ram.bytes} bytes of RAM of "
            f"{board.name} for the stack."
        )
    return {
        "entry": _function(image, loaded.sizes, call.symbol),
        "buffers": buffers,
        "stack_low": -(-at // 8) * 8,
        "stack": stack,
    }


def _function(image: Path, sizes: ImageSizes, symbol: str) -> int:
    if symbol not in sizes.symbols:
        raise InputError(
            f"{image}: there is no function {symbol!r}; functions that nothing calls are dropped "
            "unless build_image(keep=...) names them."
        )
    return sizes.symbols[symbol][0]


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


def _fault(
    image: Path, sizes: ImageSizes, calls: Sequence[Call], call: int | None, pc: int, message: str
) -> CheckError:
    who = "the start-up code" if call is None else f"call {call} ({calls[call].symbol})"
    return CheckError(
        f"{who} of {image.name} failed on the emulated core at pc {pc:#010x}"
        f"{_place_name(sizes, pc)}: {message}."
    )


def _place_name(sizes: ImageSizes, pc: int) -> str:
    """ " (symbol+0x12)" of the function around an address, or nothing."""
    for name, (address, size) in sizes.symbols.items():
        if address <= pc < address + size:
            return f" ({name}+{pc - address:#x})"
    return ""


def _counts(
    folder: Path, results: Sequence[dict[str, Any]], names: list[str], model: CycleModel | None
) -> list[dict[str, Any]]:
    if model is None:
        return [{} for _ in results]
    code = (folder / "code.bin").read_bytes()
    blocks = make_blocks(_integers(folder / "blocks.bin"), code, model)
    ledger = Ledger(blocks, names, model)
    edges, at = _integers(folder / "edges.bin"), 0
    counts = []
    for result in results:
        end = at + 3 * result["edges"]
        counts.append(ledger.counts(edges[at:end], result["reads"]))
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
