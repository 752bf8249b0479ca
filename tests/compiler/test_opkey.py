# SPDX-License-Identifier: Apache-2.0
"""Keys of operators: one text for one key, the same in every process, and never one for two."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytailor.compiler.opkey import OpKey, example_graph, key_of, make_key
from tinytailor.compiler.ops import ArgMax, Conv2d, Reshape
from tinytailor.compiler.ops.window import Window
from tinytailor.compiler.testing.examples import every_example
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.pure]

EXAMPLES = every_example()

KEYS = [
    make_key(example.op, example.shapes, isa) for example in EXAMPLES for isa in ("base", "dsp")
]
KEY = make_key(Conv2d(8, Window((3, 3))), ((1, 6, 6, 4),), "dsp")


def test_a_key_is_the_same_through_json_text_and_through_its_own_operator():
    for key in KEYS:
        assert OpKey.from_json(json.loads(json.dumps(key.to_json()))) == key
        assert OpKey.from_json(json.loads(key.text)) == key
        graph = example_graph(key)
        assert key_of(graph.nodes[0], graph, key.isa) == key


def test_the_text_of_a_key_is_its_json_with_sorted_names():
    for key in KEYS:
        assert key.text == json.dumps(key.to_json(), sort_keys=True, separators=(",", ":"))


def test_examples_of_the_operators_have_keys_of_their_own():
    assert len({key.text for key in KEYS}) == len(set(KEYS)) == len(KEYS)


def test_texts_do_not_depend_on_the_process():
    code = (
        "import sys, json\n"
        "from tinytailor.compiler.opkey import OpKey\n"
        "print(OpKey.from_json(json.load(sys.stdin)).text)\n"
    )
    scrambled = json.dumps(dict(reversed(KEY.to_json().items())))
    for seed in ("1", "2"):
        output = subprocess.run(
            [sys.executable, "-c", code],
            input=scrambled,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert output.strip() == KEY.text


def test_bits_and_types_are_part_of_every_key():
    assert KEY.to_json()["attributes"]["weight_bits"] == 8
    assert KEY.dtypes == ("int8", "int8")
    assert make_key(ArgMax(1), ((1, 9),), "dsp").dtypes == ("int8", "int32")
    words = replace(make_key(Reshape((1, 4)), ((1, 2, 2),), "dsp"), dtypes=("int32", "int32"))
    assert example_graph(words).tensors["y"].dtype == "int32"


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
RECORDS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["add", "conv2d", "dense"]),
        "input_shapes": st.lists(
            st.lists(st.integers(1, 1 << 40), max_size=4), min_size=1, max_size=1
        ),
        "attributes": st.dictionaries(st.text(max_size=4), VALUES, max_size=4),
        "isa": st.text(max_size=4),
        "dtypes": st.lists(st.text(max_size=4), min_size=2, max_size=2),
    }
)


def same(a, b):
    """Equality of JSON values in which 1, 1.0 and true are three things."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


@given(RECORDS, RECORDS)
@settings(max_examples=60, deadline=None)
def test_two_keys_share_a_text_only_if_they_are_equal(first, second):
    one, other = OpKey.from_json(first), OpKey.from_json(second)
    assert (one.text == other.text) == (one == other) == same(first, second)


@given(RECORDS, st.data())
@settings(max_examples=60, deadline=None)
def test_a_key_with_one_value_changed_is_another_key(record, data):
    name = data.draw(st.sampled_from(sorted(record)))
    changed = {**record, name: data.draw(RECORDS)[name]}
    one, other = OpKey.from_json(record), OpKey.from_json(changed)
    assert (one.text == other.text) == (one == other) == same(record, changed)
    assert OpKey.from_json(json.loads(one.text)) == one


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "teleport"},
        {"kind": 7},
        {"input_shapes": [[1, 6, 6, 4.0]]},
        {"input_shapes": [[1, 6, 6, True]]},
        {"input_shapes": [[1, 6, 6, "4"]]},
        {"input_shapes": [[1, 6, 0, 4]]},
        {"input_shapes": 3},
        {"attributes": []},
        {"attributes": {"x": float("nan")}},
        {"attributes": {1: 2}},
        {"attributes": {"x": [{1: 2}]}},
        {"isa": None},
        {"dtypes": ["int8"]},
        {"dtypes": [8, 8]},
        {"more": 1},
    ],
)
def test_what_is_no_key_is_refused(change):
    with pytest.raises(InputError, match=r"operator key|no operator is called 'teleport'"):
        OpKey.from_json({**KEY.to_json(), **change})


def test_a_key_without_a_field_is_refused():
    for name in KEY.to_json():
        record = {other: value for other, value in KEY.to_json().items() if other != name}
        with pytest.raises(InputError, match="not an operator key"):
            OpKey.from_json(record)


def test_attributes_that_do_not_fit_the_operator_are_refused():
    for attributes in ({}, {"out_channels": 8, "kernel": 3}):
        key = OpKey.from_json({**KEY.to_json(), "attributes": attributes})
        with pytest.raises(InputError, match="key of conv2d with attributes"):
            key.operator()
