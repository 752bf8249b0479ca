# SPDX-License-Identifier: Apache-2.0
"""Every runner, on every core that it has, passes the kit; and the kit sees what is wrong."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tinytailor.targets import Board, emulator
from tinytailor.targets.testing import runners
from tinytailor.targets.testing.runners import CHECKS, Subject

pytestmark = [pytest.mark.emulator, pytest.mark.qemu]

CORES = {
    "emulator": ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"),
    "qemu": ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"),
}
Check = Callable[[Subject], None]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runner-kit")


def named(checks: Iterable[Check]) -> list[object]:
    return [pytest.param(check, id=check.__name__) for check in checks]


@pytest.mark.parametrize("check", named(CHECKS))
@pytest.mark.parametrize(("runner", "core"), [(r, c) for r, cores in CORES.items() for c in cores])
def test_a_runner_passes_the_kit(
    runner: str, core: str, check: Check, board_of: Callable[[str], Board], folder: Path
) -> None:
    if runner == "qemu" and shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")
    check(Subject(runner, board_of(core), folder))


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        (
            runners.pointers_beyond_the_fourth_are_passed_on_the_stack,
            lambda result: {"outputs": (bytes(4),)},
        ),
        (runners.stack_depth_is_what_was_written, lambda result: {"stack_bytes": 1000}),
        (
            runners.a_region_that_is_called_directly_gets_everything,
            lambda result: {"counts": dict.fromkeys(result.counts, result.counts["all"])},
        ),
        (
            runners.the_same_calls_give_the_same_results,
            lambda result: {"measured_cycles": (id(result),)},
        ),
    ],
)
def test_the_kit_sees_a_wrong_result(check, damage, board_of, folder, monkeypatch) -> None:
    def wrong(*arguments, **options):
        results = emulator_run(*arguments, **options)
        return [dataclasses.replace(result, **damage(result)) for result in results]

    emulator_run = emulator.run
    monkeypatch.setattr(emulator, "run", wrong)
    with pytest.raises(AssertionError):
        check(Subject("emulator", board_of("cortex-m4"), folder))


def test_the_kit_sees_a_runner_that_refuses_nothing(board_of, folder, monkeypatch) -> None:
    monkeypatch.setattr(emulator, "run", lambda *_, **__: [])
    for check in (
        runners.one_byte_past_the_end_is_an_error_that_names_the_place,
        runners.what_does_not_exist_is_an_input_error,
        runners.buffers_that_do_not_fit_are_an_input_error,
    ):
        with pytest.raises(AssertionError, match="nothing was refused"):
            check(Subject("emulator", board_of("cortex-m4"), folder))
