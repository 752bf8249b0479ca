# SPDX-License-Identifier: Apache-2.0
"""Measuring: operator configurations, many in one image, run one by one on the emulated board.

    keys -> batches -> one image each (compiler.mcu.kernel_image) -> targets.run -> rows

A finished batch is on disk before the next is waited for, so a run that is killed goes on where it
stopped: keys that have a row are skipped. A configuration that cannot be built or run is written
as an error, never as a number, and all errors are raised together at the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from tinytailor.compiler.opkey import OpKey, example_graph
from tinytailor.latency_tables.library import library_functions
from tinytailor.latency_tables.origin import make_header, require_same_origin
from tinytailor.latency_tables.records import Measurement, Work, today
from tinytailor.latency_tables.table import Failure, LatencyTable, describe, writing
from tinytailor.targets import Board, Toolchain
from tinytailor.targets.errors import InputError, TinytailorError, ToolError

REPEATS = 2  # with different inputs; equal counts show that no branch depends on data
BATCH_KERNELS = 12
KERNEL = "kernel_"
Entry = Measurement | Failure
Progress = Callable[[int, int], None]


def measure(
    keys: Iterable[OpKey],
    board: Board,
    toolchain: Toolchain,
    path: Path,
    *,
    resume: bool = True,
    workers: int = 1,
    on_progress: Progress | None = None,
) -> LatencyTable:
    """The table at ``path`` with a row for each of ``keys``, measuring those it lacks.

    ``resume=False`` starts a new table in place of the old. ``on_progress(done, total)`` counts
    keys. Raises InputError if the table at ``path`` was measured with something else, ToolError at
    the end if some keys could not be measured; the others are in the table then.
    """
    wanted = sorted(set(keys))
    foreign = [key for key in wanted if key.isa != str(board.core.isa)]
    if foreign:
        raise InputError(
            f"{describe(foreign[0])} is not for {board.name}, which has {board.core.isa}"
        )
    with writing(path):
        if resume and path.exists():
            table = LatencyTable.load(path)
            require_same_origin(table, board, toolchain)
        else:
            table = LatencyTable.create(path, make_header(board, toolchain))
        missing = [key for key in wanted if key not in table]
        report = on_progress or (lambda done, total: None)
        done = len(wanted) - len(missing)
        report(done, len(wanted))
        for entries in _run(_batches(missing, board), board, toolchain, workers):
            table.append(entries)
            done += len(entries)
            report(done, len(wanted))
    _raise_failures([table.failures[key] for key in wanted if key in table.failures], table)
    return table


def _raise_failures(failures: Sequence[Failure], table: LatencyTable) -> None:
    if failures:
        shown = [f"  {describe(failure.key)}: {failure.message}" for failure in failures[:8]]
        more = [f"  and {len(failures) - 8} more"] if len(failures) > 8 else []
        raise ToolError(
            "\n".join(
                [
                    f"{len(failures)} operators could not be measured on {table.header.target}; "
                    f"the others are in {table.path}:",
                    *shown,
                    *more,
                ]
            )
        )


def _batches(keys: Sequence[OpKey], board: Board) -> list[list[OpKey]]:
    """Keys in groups whose constants take at most half of the flash; a large one is alone."""
    batches: list[list[OpKey]] = []
    room = 0
    for key in keys:
        size = sum(node.constant_bytes for node in example_graph(key).nodes)
        if not batches or size > room or len(batches[-1]) == BATCH_KERNELS:
            batches.append([])
            room = board.flash.bytes // 2
        batches[-1].append(key)
        room -= size
    return batches


def _run(
    batches: Sequence[Sequence[OpKey]], board: Board, toolchain: Toolchain, workers: int
) -> Iterator[list[Entry]]:
    """The entries of each batch, as they are finished."""
    if workers <= 1 or len(batches) <= 1:
        for batch in batches:
            yield measure_batch(batch, board, toolchain)
        return
    executor = ProcessPoolExecutor(
        min(workers, len(batches)), get_context("spawn"), _start_worker, (os.getpid(),)
    )
    futures = [executor.submit(measure_batch, batch, board, toolchain) for batch in batches]
    waiting = set(futures)
    try:
        for future in as_completed(futures):
            waiting.discard(future)
            yield future.result()
    except BrokenProcessPool:
        raise ToolError(
            "a measuring process was killed (out of memory?); run the same command again to go on, "
            "with fewer --workers"
        ) from None
    except KeyboardInterrupt:
        # The batches that run take seconds; they are let finish, and kept.
        executor.shutdown(cancel_futures=True)
        yield from (future.result() for future in waiting if not future.cancelled())
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end when the parent does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def measure_batch(keys: Sequence[OpKey], board: Board, toolchain: Toolchain) -> list[Entry]:
    """A Measurement or a Failure for each key; a batch that fails is tried again key by key."""
    try:
        return list(_measure_together(keys, board, toolchain))
    except TinytailorError as error:
        if len(keys) == 1:
            return [Failure(keys[0], str(error))]
        return [entry for key in keys for entry in measure_batch([key], board, toolchain)]


def _measure_together(
    keys: Sequence[OpKey], board: Board, toolchain: Toolchain
) -> Iterator[Measurement]:
    from tinytailor.compiler.mcu import kernel_image  # loads TVM
    from tinytailor.targets import image_sizes, run
    from tinytailor.targets.stack import StackUse

    graphs = [(f"{KERNEL}{i}", example_graph(key)) for i, key in enumerate(keys)]
    with tempfile.TemporaryDirectory(prefix="tinytailor-measure-") as folder:
        image = kernel_image(graphs, board, toolchain, Path(folder))
        calls = [
            image.call(i, np.random.default_rng([seed_of(key), repeat]))
            for i, key in enumerate(keys)
            for repeat in range(REPEATS)
        ]
        library = library_functions(image_sizes(image.elf), board, own=KERNEL)
        use = StackUse(image.elf)
        stacks = [use.of(kernel.symbol) for kernel in image.kernels]
        results = run(image.elf, board, calls, regions={name: name for name in library})
    for i, (key, kernel) in enumerate(zip(keys, image.kernels, strict=True)):
        runs = results[i * REPEATS : (i + 1) * REPEATS]
        counts = [Work.total(result.counts.values()) for result in runs]
        mean = Work.mean(counts)
        cycles = [work.core_cycles for work in counts]
        yield Measurement(
            key=key,
            cycles=mean.operator_cycles(board.latency, kernel.constant_bytes),
            measured=False,
            counts=mean,
            scratch_bytes=kernel.scratch_bytes,
            constant_bytes=kernel.constant_bytes,
            code_bytes=kernel.code_bytes,
            entry_bytes=kernel.entry_bytes,
            library={
                name: size
                for name, size in library.items()
                if any(result.counts[name].instructions for result in runs)
            },
            stack_bytes=stacks[i],
            repeats=len(runs),
            spread_cycles=max(cycles) - min(cycles),
            date=today(),
        )


def seed_of(key: OpKey) -> int:
    """The same inputs for the same key, whatever it is measured together with."""
    text = json.dumps(key.to_json(), sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
