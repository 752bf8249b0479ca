# SPDX-License-Identifier: Apache-2.0
"""TVMScript without a walk over the stack.

TVM's decorator reads the source of every frame below it, twice, to find names that annotations
take from outer functions. A body that says all it needs in itself, its closure and its module is
parsed the same without: where the stack is deep that was a third of the time of lowering.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm.script.parser._core import parse
from tvm.script.parser.core.utils import inspect_function_capture


def prim_func(*, s_tir: bool) -> Callable[[Callable[..., Any]], Any]:
    """Decorator of a body, ``@script.prim_func(s_tir=True)``; the parser reads ``s_tir`` there."""

    def parsed(body: Callable[..., Any]) -> Any:
        return parse(body, inspect_function_capture(body), s_tir=s_tir)

    parsed.dispatch_token = "tirx"  # type: ignore[attr-defined]
    return parsed
