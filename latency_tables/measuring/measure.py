# SPDX-License-Identifier: Apache-2.0
"""Measuring: operator configurations, many in one image, run one by one on the emulated core.

    keys -> batches -> one image each (compiler.mcu.kernel_image) -> targets.run_on -> rows

On a board at a serial port (on_device.py) the same rows are counted first, and its cycles added.

A finished batch is on disk before the next is waited for, so a run that is killed goes on where it
stopped: keys that have a row are skipped. A configuration that cannot be built or run is written
as an error, never as a number, and all errors are raised together at the end.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tinytailor.compiler.opkey import OpKey, example_graph
from tinytailor.latency_tables.measuring.batches import batches
from tinytailor.latency_tables.measuring.counting import bench
from tinytailor.latency_tables.measuring.header import make_header
from tinytailor.latency_tables.measuring.inputs import KERNEL, REPEATS, inputs_of
from tinytailor.latency_tables.measuring.library import library_functions
from tinytailor.latency_tables.measuring.on_device import FIRMWARE_KERNELS, measured
from tinytailor.latency_tables.measuring.pool import Pool, results
from tinytailor.latency_tables.table.footprints import placement_of
from tinytailor.latency_tables.table.latency_table import (
    Entry,
    Failure,
    LatencyTable,
    describe,
)
from tinytailor.latency_tables.table.origin import compiler_digest, require_same_origin
from tinytailor.latency_tables.table.records import Measurement, Work, today
from tinytailor.targets import (
    Board,
    Toolchain,
    cross_toolchain,
    default_runner,
    linked_for,
    serial,
    serial_port,
)
from tinytailor.targets.errors import InputError, ToolError
from tinytailor.targets.files import only_writer

SHOWN = 8
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a table is asked for: the keys it has a row of, and those that are measured now."""

    known: tuple[OpKey, ...]
    new: tuple[OpKey, ...]


class IncompleteError(ToolError):
    """Some operators could not be measured; all others are in ``table``."""

    def __init__(self, table: LatencyTable, failures: Sequence[Failure]) -> None:
        self.table = table
        self.failures = tuple(failures)
        shown = [f"  {describe(one.key)}: {one.message}" for one in failures[:SHOWN]]
        more = [f"  and {len(failures) - SHOWN} more"] if len(failures) > SHOWN else []
        head = (
            f"{len(failures)} operators could not be measured on {table.header.device}; "
            f"the others are in {table.path}:"
        )
        super().__init__("\n".join([head, *shown, *more]))


def measure(
    keys: Iterable[OpKey],
    board: Board,
    toolchain: Toolchain,
    path: Path,
    *,
    resume: bool = True,
    workers: int = 1,
    backend: str = "loky",
    runner: str | None = None,
    on_start: Callable[[Plan], None] | None = None,
    on_progress: Progress | None = None,
) -> LatencyTable:
    """The table at ``path`` with a row for each of ``keys``, measuring those it lacks.

    ``resume=False`` starts a new table in place of the old. ``runner`` is targets.default_runner
    unless given. ``on_start`` hears what is measured before it begins, ``on_progress(done, total)``
    counts keys. Raises InputError if the table at ``path`` was measured with something else,
    IncompleteError at the end if some keys could not be measured; the others are in the table then.
    """
    pool, runner = Pool(workers, backend), runner or default_runner(board)
    wanted = sorted(set(keys))
    _check(wanted, board, runner, pool)
    report = on_progress or (lambda done, total: None)
    with only_writer(path):
        table = _opened(path, board, toolchain, runner, resume)
        known = tuple(key for key in wanted if key in table)
        new = tuple(key for key in wanted if key not in table)
        if on_start is not None:
            on_start(Plan(known, new))
        report(len(known), len(wanted))
        done = len(known)
        for entries in _measured(new, board, toolchain, runner, pool):
            table.append(entries)
            done += len(entries)
            report(done, len(wanted))
        if new:
            table.sort()  # whatever order the workers were done in
    failures = [table.failures[key] for key in wanted if key in table.failures]
    if failures:
        raise IncompleteError(table, failures)
    return table


def _check(keys: Sequence[OpKey], board: Board, runner: str, pool: Pool) -> None:
    """InputError for what cannot be measured at all, or not so."""
    port = serial_port(runner)
    if port is not None:
        if pool != Pool():
            raise InputError(f"{runner} is one board; leave out --workers and --backend")
        serial.require_port(board, port)
    foreign = [key for key in keys if key.isa != str(board.core.isa)]
    if foreign:
        raise InputError(
            f"{describe(foreign[0])} is not for {board.name}, which has {board.core.isa}"
        )


def _opened(
    path: Path, board: Board, toolchain: Toolchain, runner: str, resume: bool
) -> LatencyTable:
    """The table that is there and may go on, or a new one."""
    if not (resume and path.exists()):
        return LatencyTable.create(path, make_header(board, toolchain, runner))
    table = LatencyTable.load(path)
    require_same_origin(table, board, toolchain, runner)
    return table


def _measured(
    keys: Sequence[OpKey], board: Board, toolchain: Toolchain, runner: str, pool: Pool
) -> Iterator[list[Entry]]:
    """The entries of each batch, as they are finished."""
    work = partial(measure_batch, board=board, toolchain=toolchain, runner=runner)
    if not pool.here:
        digest = compiler_digest()
        work = partial(_elsewhere, board=board, toolchain=toolchain, runner=runner, digest=digest)
    if serial_port(runner) is not None:
        return results(work, batches(keys, board, pool.workers, FIRMWARE_KERNELS), pool)
    return results(work, batches(keys, linked_for(runner, bench(board.core)), pool.workers), pool)


def _elsewhere(
    keys: Sequence[OpKey], board: Board, toolchain: Toolchain, runner: str, digest: str
) -> list[Entry]:
    """A batch on a machine that may be another one, if the same code comes out of it there."""
    local = cross_toolchain("zig" if toolchain.name == "zig" else "gcc")
    for what, here, there in (
        ("the cross compiler", local.version, toolchain.version),
        ("the code generator", compiler_digest(), digest),
    ):
        if here != there:
            raise ToolError(
                f"{what} of a worker is {here}, and the table is measured with {there}; install "
                "the same on all machines"
            )
    return measure_batch(keys, board, local, runner)


def measure_batch(
    keys: Sequence[OpKey], board: Board, toolchain: Toolchain, runner: str
) -> list[Entry]:
    """A Measurement or a Failure for each key."""
    port = serial_port(runner)
    if port is None:
        return count_batch(keys, bench(board.core), toolchain, runner)
    entries = count_batch(keys, bench(board.core), toolchain, default_runner(board))
    rows = [entry for entry in entries if isinstance(entry, Measurement)]
    failures = [entry for entry in entries if isinstance(entry, Failure)]
    return [*failures, *(measured(rows, board, toolchain, port) if rows else ())]


def count_batch(
    keys: Sequence[OpKey], board: Board, toolchain: Toolchain, runner: str
) -> list[Entry]:
    """The same with counts alone, linked for the memories of ``board``; a batch that fails is tried
    again in halves."""
    try:
        return list(_count_together(keys, board, toolchain, runner))
    except Exception as error:  # of a compiler, too: it is of this key, and others can go on
        if len(keys) == 1:
            return [Failure(keys[0], str(error) or type(error).__name__)]
    half = len(keys) // 2
    return [
        entry
        for part in (keys[:half], keys[half:])
        for entry in count_batch(part, board, toolchain, runner)
    ]


def _count_together(
    keys: Sequence[OpKey], board: Board, toolchain: Toolchain, runner: str
) -> Iterator[Measurement]:
    from tinytailor.compiler.mcu import kernel_image  # loads TVM
    from tinytailor.targets import image_sizes, run_on
    from tinytailor.targets.stack import StackUse

    linked = linked_for(runner, board)
    graphs = [(f"{KERNEL}{i}", example_graph(key)) for i, key in enumerate(keys)]
    with tempfile.TemporaryDirectory(prefix="tinytailor-measure-") as folder:
        image = kernel_image(graphs, board, toolchain, Path(folder), runner)
        calls = [
            image.call(i, inputs_of(key, repeat))
            for i, key in enumerate(keys)
            for repeat in range(REPEATS)
        ]
        library = library_functions(image_sizes(image.elf), linked, own=KERNEL)
        use = StackUse(image.elf)
        stacks = [use.of(kernel.symbol) for kernel in image.kernels]
        regions = {name: name for name in library}
        done = run_on(runner, image.elf, board, calls, regions=regions)
    for i, (key, kernel) in enumerate(zip(keys, image.kernels, strict=True)):
        runs = done[i * REPEATS : (i + 1) * REPEATS]
        counts = [Work.total(result.counts.values()) for result in runs]
        cycles = [work.core_cycles for work in counts]
        yield Measurement(
            key=key,
            cycles=None,
            counts=Work.mean(counts),
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
            placement=placement_of(key),
        )
