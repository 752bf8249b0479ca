# SPDX-License-Identifier: Apache-2.0
"""Keys and examples stay what tables were measured with, letter by letter and number by number.

A row of a table is found by the text of its key, and its counts are those of the constants that the
key draws: both stand in example_keys.txt for each way in which an operator can be keyed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tinytailor.compiler.opkey import make_key
from tinytailor.compiler.ops import tabled
from tinytailor.compiler.testing.examples import every_example
from tinytailor.latency_tables import LatencyTable
from tinytailor.latency_tables.measuring.shipped import shipped_tables

pytestmark = [pytest.mark.pure]

EXAMPLES = every_example()
# Lines: an example of the conformance kit, SHA-256 of its constants, attributes in its key.
WRITTEN = Path(__file__).with_name("example_keys.txt").read_text()
LINES = [line.split() for line in WRITTEN.splitlines()]
BY_NAME = {example.name: example for example in EXAMPLES}


@pytest.mark.parametrize(("name", "digest", "attributes"), LINES, ids=[name for name, *_ in LINES])
def test_an_example_has_the_key_and_the_constants_that_it_always_had(name, digest, attributes):
    example = BY_NAME[name]
    assert make_key(example.op, example.shapes, "dsp").attributes == attributes
    arrays = example.graph("dsp").nodes[0].constants.values()
    drawn = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
    assert digest == (drawn[:8] if arrays else "-")


def test_each_way_of_keying_an_operator_is_written_out():
    def way(example):
        return example.op.kind, *sorted(example.op.key_attributes())

    assert {way(BY_NAME[name]) for name, *_ in LINES} == {way(example) for example in EXAMPLES}
    assert {BY_NAME[name].op.kind for name, *_ in LINES} == set(tabled())


@pytest.mark.parametrize(
    "path", shipped_tables(), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_each_key_of_a_shipped_table_comes_back_from_its_operator(path: Path):
    for key in LatencyTable.load(path):
        assert make_key(key.operator(), key.input_shapes, key.isa).text == key.text
