# SPDX-License-Identifier: Apache-2.0
"""tinytailor space: counts, costs of the ends, and what is not measured yet."""

from __future__ import annotations

import pytest
from tiny_model import only_json

from tinytailor.nas.spaces import Architecture, parse_space

pytestmark = [pytest.mark.emulator, pytest.mark.torch, pytest.mark.tvm]

BOARD = "nucleo-f446re"


def test_a_space_whose_operators_are_known_has_its_ends_priced(cli):
    words = ("space", "series:100x6x4", "--target", BOARD)
    found = only_json(cli(*words, "--json").stdout)
    space = parse_space("series:100x6x4")
    assert found["operators"] == len(space.keys("dsp"))
    assert (found["missing"], found["measuring_s"]) == (0, 0.0)
    assert set(found["decisions"]) == {d.name for d in space.decisions}
    ends = {(one["end"], one["by"]): one for one in found["members"]}
    for by in ("latency_ms", "ram_bytes", "flash_bytes"):
        cheap, dear = ends["cheapest", by], ends["dearest", by]
        assert cheap[by] < dear[by]
        assert all(one[by] >= cheap[by] for one in found["members"])
        space.topology(Architecture.from_json(cheap["architecture"]))
    shown = cli(*words).stdout
    for text in ("cheapest in latency", "dearest in flash", "input.companding", "0+1+2"):
        assert text in shown


def test_what_has_no_row_is_counted_and_its_measuring_timed(cli, tmp_path):
    words = ("space", "series:16x1x2", "--target", BOARD, "--table", tmp_path / "none.jsonl")
    found = only_json(cli(*words, "--json").stdout)
    assert 0 < found["missing"] <= found["operators"]
    assert found["measuring_s"] > 0
    assert found["members"] == []
    said = " ".join(cli(*words).stdout.split())
    assert "tinytailor measure --space series:16x1x2 --target nucleo-f446re" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("series", "--target", BOARD), "the shape '' is not STEPSxCHANNELSxCLASSES"),
        (("timeseries:9x9x9", "--target", BOARD), "is called micronas now"),
        (("series:9x9x9", "--target", "nowhere"), "no target is called 'nowhere'"),
    ],
)
def test_a_wrong_word_is_one_sentence(cli, words, sentence):
    result = cli("space", *words)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
