# SPDX-License-Identifier: Apache-2.0
"""exp, log, sqrt and what is made of them, in float32 additions, products and quotients alone.

Those are rounded the same way by every compiler and core, with or without a floating-point unit,
so a layer in float computes the same bits everywhere, and needs no <math.h>. Each function is a
list of steps over its parameters, written once: ``expanded`` puts it into TIR for LLVM, and
``definition`` prints it as a C function. No number leads to infinity or NaN.

    exp     2^k * p(r),  x = k ln 2 + r        within 2 units in the last place; saturates at e^88
    log     e ln 2 + p(m),  x = m * 2^e        the same; log of what is not positive is -87.3
    rsqrt   three Newton steps                 1e-7
    erf     Abramowitz and Stegun 7.1.26       5e-7 absolute
    pow     exp(y log |x|) with the sign of whole powers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tvm import ir, tirx
from tvm_ffi import structural_map, structural_walk

from tinytailor.compiler.kernels.bricks.tir_nodes import replace

SMALLEST = 1.1754943508222875e-38  # positive and normal
LARGEST = 3.0e38
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)
_LOG = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
    *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
_ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


@dataclass
class Steps:
    """A function under construction: ``let`` names a value; the last expression is the result."""

    parameters: tuple[Any, ...]
    lets: list[tuple[Any, Any]] = field(default_factory=list)

    def let(self, name: str, value: Any) -> Any:
        variable = tirx.Var(name, str(value.ty.dtype))
        self.lets.append((variable, value))
        return variable


Function = Callable[[Steps], Any]


def _f(value: float) -> Any:
    return tirx.const(value, "float32")


def _i(value: int) -> Any:
    return tirx.const(value, "int32")


def _number(value: Any) -> Any:
    return value.astype("float32")


def _bits(value: Any, dtype: str) -> Any:
    return tirx.reinterpret(dtype, value)


def _polynomial(x: Any, factors: Sequence[float]) -> Any:
    value = _f(factors[0])
    for factor in factors[1:]:
        value = value * x + _f(factor)
    return value


def _exp(f: Steps) -> Any:
    (x,) = f.parameters
    low = f.let("low", tirx.Select(x > _f(-87.0), x, _f(-87.0)))
    t = f.let("t", tirx.Select(low < _f(88.0), low, _f(88.0)))
    nearest = t * _f(1.44269504) + tirx.Select(t < _f(0.0), _f(-0.5), _f(0.5))
    k = f.let("k", nearest.astype("int32"))
    r = f.let("r", (t - _number(k) * _f(0.693359375)) - _number(k) * _f(-2.12194440e-4))
    p = f.let("p", _polynomial(r, _EXP))
    return (p * r * r + r + _f(1.0)) * _bits((k + _i(127)) * _i(1 << 23), "float32")


def _log(f: Steps) -> Any:
    (x,) = f.parameters
    t = f.let("t", tirx.Select(x > _f(SMALLEST), x, _f(SMALLEST)))
    bits = f.let("bits", _bits(t, "int32"))
    e = f.let("e", (bits >> _i(23)) - _i(126))
    half = f.let("half", _bits(bits - e * _i(1 << 23), "float32"))  # from 1/2 to 1
    small = f.let("small", half < _f(0.70710678))
    m = f.let("m", tirx.Select(small, half + half, half) - _f(1.0))
    k = f.let("k", _number(e - tirx.Select(small, _i(1), _i(0))))
    p = f.let("p", _polynomial(m, _LOG) * m * m * m)
    tail = p + k * _f(-2.12194440e-4) - _f(0.5) * m * m
    return m + tail + k * _f(0.693359375)


def _rsqrt(f: Steps) -> Any:
    (x,) = f.parameters
    low = f.let("low", tirx.Select(x > _f(SMALLEST), x, _f(SMALLEST)))
    t = f.let("t", tirx.Select(low < _f(LARGEST), low, _f(LARGEST)))
    y = f.let("y0", _bits(_i(0x5F375A86) - (_bits(t, "int32") >> _i(1)), "float32"))
    for turn in (1, 2, 3):
        y = f.let(f"y{turn}", y * (_f(1.5) - _f(0.5) * t * y * y))
    return y


def _sqrt(f: Steps) -> Any:
    (x,) = f.parameters
    return tirx.Select(x > _f(SMALLEST), x * tirx.rsqrt(x), _f(0.0))


def _tanh(f: Steps) -> Any:
    (x,) = f.parameters
    return _f(1.0) - _f(2.0) / (tirx.exp(x + x) + _f(1.0))


def _sigmoid(f: Steps) -> Any:
    (x,) = f.parameters
    return _f(1.0) / (tirx.exp(_f(0.0) - x) + _f(1.0))


def _erf(f: Steps) -> Any:
    (x,) = f.parameters
    size = f.let("size", tirx.abs(x))
    t = f.let("t", _f(1.0) / (_f(0.3275911) * size + _f(1.0)))
    y = f.let("y", _f(1.0) - _polynomial(t, _ERF) * t * tirx.exp(_f(0.0) - size * size))
    return tirx.Select(x < _f(0.0), _f(0.0) - y, y)


def _pow(f: Steps) -> Any:
    """Of a negative number only whole powers are real; the others are 0 here."""
    x, y = f.parameters
    size = f.let("size", tirx.abs(x))
    nothing = tirx.Select(y > _f(0.0), _f(0.0), _f(LARGEST))
    power = f.let("power", tirx.Select(size > _f(SMALLEST), tirx.exp(y * tirx.log(size)), nothing))
    odd = f.let("odd", tirx.abs(y - _f(2.0) * tirx.trunc(y * _f(0.5))))
    even = tirx.Select(odd.equal(_f(0.0)), power, _f(0.0))
    signed = tirx.Select(odd.equal(_f(1.0)), _f(0.0) - power, even)
    value = f.let("value", tirx.Select(x < _f(0.0), signed, power))
    return tirx.Select(y.equal(_f(0.0)), _f(1.0), value)


def _fabs(f: Steps) -> Any:
    (x,) = f.parameters
    return tirx.Select(x < _f(0.0), _f(0.0) - x, x)


def _whole(x: Any, inside: Any) -> Any:
    """``inside`` where float32 has fractions at all."""
    return tirx.Select(tirx.abs(x) < _f(float(1 << 22)), inside, x)


def _trunc(f: Steps) -> Any:
    (x,) = f.parameters
    small = f.let("small", tirx.Select(tirx.abs(x) < _f(float(1 << 22)), x, _f(0.0)))
    return _whole(x, _number(small.astype("int32")))


def _floor(f: Steps) -> Any:
    (x,) = f.parameters
    t = f.let("t", tirx.trunc(x))
    return tirx.Select(t > x, t - _f(1.0), t)


def _ceil(f: Steps) -> Any:
    (x,) = f.parameters
    t = f.let("t", tirx.trunc(x))
    return tirx.Select(t < x, t + _f(1.0), t)


def _nearbyint(f: Steps) -> Any:
    """Half to even: beside 1.5 * 2^23 a float32 has no room for a fraction, and the last of its
    bits count by one."""
    (x,) = f.parameters
    bits = f.let("bits", _bits(x + _f(12582912.0), "int32"))
    return _whole(x, _number(bits - _i(0x4B400000)))


# In the order in which C must define them.
FUNCTIONS: dict[str, Function] = {
    "fabs": _fabs,
    "exp": _exp,
    "log": _log,
    "rsqrt": _rsqrt,
    "sqrt": _sqrt,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "erf": _erf,
    "trunc": _trunc,
    "pow": _pow,
    "floor": _floor,
    "ceil": _ceil,
    "nearbyint": _nearbyint,
}


def name_of(node: Any) -> str | None:
    """The function that a call in TIR stands for; None if it is none of these."""
    if not isinstance(node, ir.Call):
        return None
    name = str(getattr(node.op, "name", "")).rpartition(".")[2]
    return name if name in FUNCTIONS else None


def called(expression: Any) -> list[str]:
    """The functions that ``expression`` calls."""
    found: list[str] = []

    def note(node: Any) -> None:
        name = name_of(node)
        if name is not None:
            found.append(name)

    structural_walk(expression, (ir.Call, note))
    return found


class _Hoisted:
    """The steps of all calls in one stored value, as stores into local arrays in front of it."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self.arrays = arrays
        self.stores: list[Any] = []
        self.used = dict.fromkeys(arrays, 0)

    def kept(self, value: Any) -> Any:
        """``value`` in a place of its own."""
        dtype = str(value.ty.dtype)
        if dtype not in self.arrays:
            return value
        place = [_i(self.used[dtype])]
        self.used[dtype] += 1
        self.stores.append(tirx.BufferStore(self.arrays[dtype], value, place))
        return self.arrays[dtype][place[0]]

    def value(self, expression: Any, inside: Any = None) -> Any:
        """``expression`` without calls. What is read under a condition, ``inside``, stays so."""

        def change(node: Any) -> Any:
            name = name_of(node)
            if name is not None:
                return self.call(name, [self.value(item, inside) for item in node.args], inside)
            if not str(getattr(node.op, "name", "")).endswith(".if_then_else"):
                return node
            condition, yes, no = node.args
            both = (condition, tirx.Not(condition))
            under = [part if inside is None else tirx.all(inside, part) for part in both]
            return tirx.if_then_else(condition, self.value(yes, under[0]), self.value(no, under[1]))

        return structural_map(expression, (ir.Call, change))

    def call(self, name: str, arguments: Sequence[Any], inside: Any) -> Any:
        function, result = steps_of(name)
        places = {}
        for variable, argument in zip(function.parameters, arguments, strict=True):
            guarded = argument if inside is None else tirx.if_then_else(inside, argument, _f(0.0))
            places[variable] = self.kept(guarded)

        def put(expression: Any) -> Any:
            for variable, place in places.items():
                expression = replace(expression, variable, place)
            return self.value(expression)

        for variable, bound in function.lets:
            places[variable] = self.kept(put(bound))
        return self.kept(put(result))


STEPS = 1024  # more than the functions of one stored value have


def expanded(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """``function``, of plain loops, with the steps of all functions in place of their calls."""
    arrays = {
        dtype: tirx.decl_buffer((STEPS,), dtype, name=f"steps_{dtype}", scope="local")
        for dtype in ("float32", "int32")
    }

    def change(store: Any) -> Any:
        hoisted = _Hoisted(arrays)
        value = hoisted.value(store.value)
        if not hoisted.stores:
            return store
        assert max(hoisted.used.values()) <= STEPS
        last = tirx.BufferStore(store.buffer, value, store.indices)
        return tirx.SeqStmt([*hoisted.stores, last])

    body = structural_map(function.body, (tirx.BufferStore, change))
    allocations = [tirx.AllocBuffer(array) for array in arrays.values()]
    return function.with_body(tirx.SeqStmt([*allocations, body]))


def steps_of(name: str) -> tuple[Steps, Any]:
    """The steps with variables of their own, and the result."""
    parameters = ("x", "y") if name == "pow" else ("x",)
    function = Steps(tuple(tirx.Var(letter, "float32") for letter in parameters))
    value = FUNCTIONS[name](function)
    return function, value


def definition(name: str, printed: Callable[[Any, Sequence[tuple[Any, str]]], str]) -> str:
    """The C function ``tt_<name>``; ``printed`` turns an expression with these names into C."""
    function, value = steps_of(name)
    names = [(variable, str(variable.name)) for variable in function.parameters]
    head = ", ".join(f"float {text}" for _, text in names)
    lines = [f"TT_INLINE float tt_{name}({head})", "{"]
    for variable, bound in function.lets:
        ctype = {"float32": "float", "int32": "int32_t", "bool": "int"}[str(variable.ty.dtype)]
        lines.append(f"    const {ctype} {variable.name} = {printed(bound, names)};")
        names.append((variable, str(variable.name)))
    return "\n".join([*lines, f"    return {printed(value, names)};", "}", ""])


def dependencies(name: str) -> list[str]:
    """All functions that ``name`` needs, itself included, in the order of their definition."""
    needed, waiting = {name}, [name]
    while waiting:
        function, value = steps_of(waiting.pop())
        for expression in (value, *(bound for _, bound in function.lets)):
            new = set(called(expression)) - needed
            needed |= new
            waiting += new
    return [known for known in FUNCTIONS if known in needed]
