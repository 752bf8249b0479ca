# SPDX-License-Identifier: Apache-2.0
"""The tables of rules: what every file of them declares exists, and nothing is declared twice."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path

import onnx
import pytest

from tinytailor.compiler.frontend import rules

pytestmark = [pytest.mark.tvm]

FILES = sorted(Path(rules.__file__).parent.glob("*.py"))
TABLES = ("calls", "onnx", "tflite", "onnx_in_float")


def test_every_file_with_rules_has_its_line() -> None:
    names = [path.stem for path in FILES if path.stem != "__init__"]
    modules = [importlib.import_module(f"{rules.__name__}.{name}") for name in names]
    declared = [module.RULES for module in modules if hasattr(module, "RULES")]
    assert [id(one) for one in declared] == [id(one) for one in rules.RULE_FILES]


@pytest.mark.parametrize("table", TABLES)
def test_nothing_is_declared_in_two_files(table: str) -> None:
    count = Counter(name for file in rules.RULE_FILES for name in getattr(file, table))
    assert [name for name, files in count.items() if files > 1] == []


def test_what_only_float_imports_otherwise_is_said_where_integers_are() -> None:
    for file in rules.RULE_FILES:
        assert set(file.onnx_in_float) & set(rules.ONNX) <= set(file.onnx)


def test_calls_of_relax_are_operators_that_tvm_has() -> None:
    from tvm import ir

    for name in rules.CALLS:
        if name.startswith("relax."):
            assert ir.Op.get(name).name == name


def test_operators_of_model_files_exist_in_their_formats() -> None:
    import tflite

    known = set(vars(tflite.BuiltinOperator))
    assert set(rules.TFLITE) <= known
    standard = {name for name in rules.ONNX_IN_FLOAT if "." not in name}
    assert [name for name in standard if not onnx.defs.has(name)] == []


def test_options_that_must_be_positive_are_in_their_tables() -> None:
    import tflite

    for form in rules.TFLITE.values():
        assert all(hasattr(getattr(tflite, form.options), field) for field in form.positive)


# calls that the conversions of several files end in
WRITTEN_BY_OTHERS = ("tinytailor.resize_linear", "tinytailor.take")


def test_every_own_call_has_a_rule_and_a_way_into_it() -> None:
    """What TVM does not know is written by a conversion: the file of its rule names both."""
    own = [name for name in rules.CALLS if not name.startswith("relax.")]
    assert len(own) >= 4
    for name in own:
        file = next(one for one in rules.RULE_FILES if name in one.calls)
        forms = [*file.onnx.values(), *file.tflite.values()]
        assert name in WRITTEN_BY_OTHERS or any(form.convert for form in forms)
