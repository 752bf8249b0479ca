# SPDX-License-Identifier: Apache-2.0
"""The conformance kit of runners: each check calls functions of one program, and looks at the rest.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_runner(check, tmp_path):
        check(Subject("mine", board, tmp_path))

A runner that counts nothing (a board) is put through those of ``UNCOUNTED``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tinytailor.targets import (
    Board,
    Buffer,
    Call,
    CallResult,
    Toolchain,
    build_for,
    cross_toolchain,
    run_on,
)
from tinytailor.targets.errors import CheckError, InputError
from tinytailor.targets.testing.call_programs import PROGRAM, STRAY, functions, number, value_of
from tinytailor.targets.testing.refusals import refused


@dataclass(frozen=True, slots=True)
class Subject:
    """A runner by its name and a board of a core that it has; images are built in ``folder``."""

    runner: str
    board: Board
    folder: Path
    toolchain: Toolchain | None = None

    def run(
        self,
        *calls: Call,
        regions: Mapping[str, str] | None = None,
        count: bool = True,
        on_progress: Callable[[int], None] | None = None,
        program: str = PROGRAM,
    ) -> list[CallResult]:
        """``calls`` of the program's functions; an image is built once."""
        runner, which = self.runner.partition(":")[0], (PROGRAM, STRAY).index(program)
        image = self.folder / f"{runner}-{self.board.name}-{which}.elf"
        if not image.exists():
            source = image.with_suffix(".c")
            source.write_text(program)
            toolchain = self.toolchain or cross_toolchain()
            build_for(self.runner, [source], image, self.board, toolchain, functions(program))
        return run_on(
            self.runner,
            image,
            self.board,
            calls,
            regions=regions,
            count=count,
            on_progress=on_progress,
        )


def pointers_beyond_the_fourth_are_passed_on_the_stack(subject: Subject) -> None:
    inputs = tuple(Buffer(4, struct.pack("<i", i)) for i in range(1, 6))
    (result,) = subject.run(Call("sum6", (*inputs, number(0))))
    assert [value_of(data) for data in result.outputs] == [54321]


def buffers_are_aligned_and_written_afresh_for_each_call(subject: Subject) -> None:
    call = Call("addresses", (Buffer(3, b"abc"), Buffer(5), Buffer(16, read_back=True)))
    for result in subject.run(call, call, count=False):
        x, y, first, fill = struct.unpack("<4I", result.outputs[0])
        assert x % 16 == y % 16 == 0
        assert (chr(first), fill) == ("a", 0xA5)


def stack_depth_is_what_was_written(subject: Subject) -> None:
    nothing, deep = Call("nothing", (number(0),)), Call("deep", (number(9),))
    shallow, result, after = subject.run(nothing, deep, nothing, count=False)
    assert shallow.stack_bytes == after.stack_bytes
    assert 2000 <= result.stack_bytes - shallow.stack_bytes <= 2032
    assert value_of(result.outputs[0]) == 9


def the_same_calls_give_the_same_results(subject: Subject) -> None:
    calls = [Call("sum6", tuple(number(i) for i in range(6))), Call("recursive", (number(9),))]
    assert subject.run(*calls) == subject.run(*calls)


def what_a_region_calls_counts_for_the_region(subject: Subject) -> None:
    call, regions = Call("outer", (number(20),)), {"first": "1", "second": "2", "third": "3"}
    (split,), (whole,) = subject.run(call, regions=regions), subject.run(call)
    loads = {name: count.flash_loads for name, count in split.counts.items()}
    assert loads["2"] - loads["1"] == 3 * 20
    assert loads["3"] - loads["2"] in (3 * 20, 3 * 20 - 3)  # third itself touches no literal
    literals = loads["1"] - 3 * 20  # the same in the three
    assert 0 <= literals <= 3 * 4
    for field in ("instructions", "flash_loads", "flash_bytes"):
        parts = sum(getattr(count, field) for count in split.counts.values())
        assert parts == getattr(whole.counts[""], field), field
    cycles = [count.core_cycles for count in split.counts.values()]
    total = whole.counts[""].core_cycles
    assert (None in cycles) == (total is None)
    if total is not None:  # a pipeline of two issues may pair instructions of two regions
        assert abs(sum(c for c in cycles if c is not None) - total) <= total // 20
    assert 0 < split.counts[""].instructions < 100


def an_inner_region_counts_for_itself_and_regions_share_names(subject: Subject) -> None:
    regions = {"first": "a", "second": "a", "third": "a", "shared": "b"}
    calls = (Call("outer", (number(20),)), Call("only_shared", (number(20),)))
    outer, only = subject.run(*calls, regions=regions)
    assert outer.counts["b"].flash_loads - 9 <= 3 * (1 + 2 + 3) * 20 + 9
    assert outer.counts["b"].instructions > 10 * outer.counts["a"].instructions
    assert only.counts["a"].instructions == 0
    assert only.counts["b"].instructions > 0
    assert only.counts[""].instructions < 15


def a_region_that_is_called_directly_gets_everything(subject: Subject) -> None:
    (result,) = subject.run(Call("outer", (number(3),)), regions={"outer": "all"})
    assert result.counts[""].instructions == 0
    assert result.counts["all"].instructions > 100


def counting_changes_no_result(subject: Subject) -> None:
    calls = [Call("sum6", tuple(number(i) for i in range(6))), Call("deep", (number(3),))]
    counted, plain = subject.run(*calls), subject.run(*calls, count=False)
    assert [result.outputs for result in counted] == [result.outputs for result in plain]
    assert [result.stack_bytes for result in counted] == [result.stack_bytes for result in plain]


def memory_that_a_call_may_write_is_left_to_it(subject: Subject) -> None:
    calls = [_stray("scratch", 51, 1), _stray("output", 19, 2), _stray("output", 0, 3)]
    subject.run(*calls, *calls, count=False, program=STRAY)


def one_byte_past_the_end_is_an_error_that_names_the_place(subject: Subject) -> None:
    fine, nowhere = _stray("output", 3, 7), "which belongs to nothing"
    for function, place, message in (
        ("scratch", 52, "0 bytes behind the end of arena"),
        ("scratch", 60, "8 bytes behind the end of arena"),
        ("output", 20, nowhere),
        ("output", 35, nowhere),
        ("output", -1, nowhere),
        ("input", 5, nowhere),
    ):
        said = rf"call 1 \({function}\).*wrote the byte at.*{message}"
        with refused(CheckError, said):
            subject.run(fine, _stray(function, place, 0x3C), count=False, program=STRAY)


def _stray(function: str, place: int, value: int) -> Call:
    """The output has 20 bytes, the input two words that must not be written."""
    x = Buffer(8, struct.pack("<2i", place, value), constant=True)
    return Call(function, (x, Buffer(20, read_back=True)))


def an_undefined_instruction_names_the_call_and_the_place(subject: Subject) -> None:
    with refused(CheckError, r"call 1 \(undefined\).*\(?undefined\+0x[0-9a-f]+"):
        subject.run(Call("nothing", (number(0),)), Call("undefined", (number(0),)))


def what_does_not_exist_is_an_input_error(subject: Subject) -> None:
    with refused(InputError, "no function 'nobody'"):
        subject.run(Call("nobody", ()))
    with refused(InputError, "no function 'nobody'"):
        subject.run(Call("nothing", (number(1),)), regions={"nobody": "x"})


def buffers_that_do_not_fit_are_an_input_error(subject: Subject) -> None:
    ram = subject.board.ram.bytes
    with refused(InputError, r"\d+ bytes of RAM of "):
        subject.run(Call("nothing", (Buffer(ram),)), Call("nothing", (Buffer(16 << 20),)))


def progress_ends_at_the_number_of_calls(subject: Subject) -> None:
    seen: list[int] = []
    calls = [Call("nothing", (number(0),))] * 50
    assert len(subject.run(*calls, on_progress=seen.append)) == 50
    assert seen == sorted(seen)
    assert seen[-1] == 50


UNCOUNTED: tuple[Callable[[Subject], None], ...] = (
    pointers_beyond_the_fourth_are_passed_on_the_stack,
    memory_that_a_call_may_write_is_left_to_it,
    one_byte_past_the_end_is_an_error_that_names_the_place,
    progress_ends_at_the_number_of_calls,
)
CHECKS: tuple[Callable[[Subject], None], ...] = (
    *UNCOUNTED,
    buffers_are_aligned_and_written_afresh_for_each_call,
    stack_depth_is_what_was_written,
    the_same_calls_give_the_same_results,
    what_a_region_calls_counts_for_the_region,
    an_inner_region_counts_for_itself_and_regions_share_names,
    a_region_that_is_called_directly_gets_everything,
    counting_changes_no_result,
    an_undefined_instruction_names_the_call_and_the_place,
    what_does_not_exist_is_an_input_error,
    buffers_that_do_not_fit_are_an_input_error,
)
