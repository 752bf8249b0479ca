# SPDX-License-Identifier: Apache-2.0
"""The drawing of the arena: its data is the manifest's, its bars are the lives of the buffers."""

from __future__ import annotations

import pytest

from tinytailor.compiler.mcu.arena_chart import ArenaRow, arena_rows, arena_section, bar, verdict

pytestmark = [pytest.mark.tvm]


def manifest(**changes):
    arena = [
        {"name": "c", "offset": 64, "bytes": 32, "first": 1, "last": 3, "tensors": ["c", "d"]},
        {"name": "n/scratch", "offset": 96, "bytes": 8, "first": 2, "last": 2, "tensors": []},
        {"name": "a", "offset": 0, "bytes": 64, "first": 0, "last": 1, "tensors": ["a"]},
    ]
    return {
        "arena": arena,
        "arena_bytes": 104,
        "arena_lower_bound_bytes": 96,
        "arena_optimal": False,
        **changes,
    }


def test_rows_go_from_low_offsets_to_high_and_scratch_has_its_own_name():
    rows = arena_rows(manifest())
    assert [row.offset for row in rows] == [0, 64, 96]
    assert rows[1].contents == ("c", "d")
    assert rows[2].contents == ("n/scratch",)


def test_a_bar_has_a_column_a_layer():
    section = arena_section(manifest())
    assert [row[3] for row in section.rows] == ["##..", ".###", "..#."]


@pytest.mark.parametrize("layers", [1, 10, 72, 73, 500])
def test_long_networks_have_several_layers_in_a_column(layers):
    step = -(-layers // 72)
    everything = bar(ArenaRow(0, 1, 0, layers - 1, ()), layers, step)
    assert set(everything) == {"#"}
    assert len(everything) <= 72
    last = bar(ArenaRow(0, 1, layers - 1, layers - 1, ()), layers, step)
    assert last.count("#") == 1
    assert last.endswith("#")


def test_the_verdict_is_a_proof_or_a_distance():
    assert verdict(manifest(arena_optimal=True)) == "proven the least for these buffers"
    assert verdict(manifest()) == "at most 8.3 % above the least, which is 96 B or more"
