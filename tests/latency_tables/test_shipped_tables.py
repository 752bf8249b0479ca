# SPDX-License-Identifier: Apache-2.0
"""The tables that come with the tool hold here and now: complete, and a sample measured again.

Counts are those of one compiler. Where the tests run as they are meant to (the same version of GCC,
or CI), another one is a failure and no reason to skip: measure the tables again with
benchmarks/shipped_tables.py, or say with which version.
"""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

import pytest

from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.measuring import shipped
from tinytailor.latency_tables.measuring.counting import bench
from tinytailor.nas.spaces import parse_space
from tinytailor.targets import CORES, cross_toolchain, default_runner

pytestmark = [pytest.mark.emulator, pytest.mark.qemu, pytest.mark.torch]

PLACES = [
    pytest.param(core, space, id=f"{core}-{space.partition(':')[0]}")
    for core in shipped.CORES
    for space in shipped.SPACES
]
TABLES_COMPILER = "12.2.1"


@cache
def load(path: Path) -> LatencyTable:
    return LatencyTable.load(path)


space_of = cache(parse_space)  # whose operators are listed once


def test_at_least_four_cores_have_tables_and_nothing_else_is_there():
    assert len(set(shipped.CORES)) >= 4
    expected = {shipped.shipped_path(c, s) for c in shipped.CORES for s in shipped.SPACES}
    assert set(shipped.shipped_tables()) == expected


@pytest.mark.parametrize(("core", "space"), PLACES)
def test_a_shipped_table_has_a_row_for_each_operator_of_its_space(core, space):
    table = load(shipped.shipped_path(core, space))
    assert (table.header.core, table.header.target) == (core, None)
    wanted = space_of(space).keys(str(CORES[core].isa))
    assert sorted(wanted) == list(table), "all of them, in order, and no others"
    assert not table.failures
    assert all(table[key].counts is not None for key in table)


@pytest.mark.parametrize(("core", "space"), PLACES)
def test_a_sample_of_a_shipped_table_measures_to_the_same_counts_again(core, space):
    table, toolchain = load(shipped.shipped_path(core, space)), cross_toolchain()
    assert TABLES_COMPILER in table.header.toolchain_version
    if toolchain.version != table.header.toolchain_version:
        meant = os.environ.get("CI") or TABLES_COMPILER in toolchain.version
        (pytest.fail if meant else pytest.skip)(
            f"the table was measured with {table.header.toolchain_version}, here is "
            f"{toolchain.version}: its counts cannot be the same"
        )
    one = bench(CORES[core])
    if default_runner(one) == "qemu" and shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not on PATH")
    rows = shipped.sample([table[key] for key in table], shipped.SAMPLE, seed=1)
    assert shipped.disagreement(rows, one, toolchain, default_runner(one)) == ""
