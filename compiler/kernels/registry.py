# SPDX-License-Identifier: Apache-2.0
"""The kernels of an operator, found by its kind: ``VARIANTS`` of the folder with that name.

    has_kernel(kind)                            is there such a folder, asked without loading it
    fitting(op, shapes, isa)                    the variants that compute an operator
    choose(op, shapes, isa)                     the preferred one of them, as a value
    lower(op, shapes, constants, isa, choice)   its TIR

A folder is loaded when its kernels are asked for, and TVM with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from tinytailor.compiler.ir import Constants, Shapes
from tinytailor.compiler.kernels.bricks.kernel import TirKernel
from tinytailor.compiler.kernels.variant import Choice, Variant
from tinytailor.compiler.ops.base import Operator
from tinytailor.targets.errors import InputError
from tinytailor.targets.names import no_such

PACKAGE = "tinytailor.compiler.kernels"
NO_OPERATORS = ("bricks", "isa")  # folders of what kernels are built from


def has_kernel(kind: str) -> bool:
    """Whether operators of this kind run on microcontrollers."""
    if kind in NO_OPERATORS or not kind.isidentifier():
        return False
    spec = find_spec(f"{PACKAGE}.{kind}")
    # A folder without sources, which a checkout of another commit leaves, has no origin.
    return spec is not None and bool(spec.submodule_search_locations and spec.origin)


def variants_of(kind: str) -> tuple[Variant, ...]:
    """All kernels of the kind, the preferred first."""
    if not has_kernel(kind):
        raise InputError(
            f"{kind} has no kernel for microcontrollers; kernels of it are expected in the folder "
            f"compiler/kernels/{kind}, see docs/own-operator.md"
        )
    variants: tuple[Variant, ...] = import_module(f"{PACKAGE}.{kind}").VARIANTS
    return variants


def fitting(op: Operator, shapes: Shapes, isa: str) -> Iterator[Variant]:
    """The variants that compute ``op`` on these input shapes, the preferred first."""
    return (v for v in variants_of(op.kind) if not v.misfit(op, shapes, isa))


def choose(op: Operator, shapes: Shapes, isa: str) -> Choice:
    """The preferred kernel, untuned; InputError that says of every variant why it is none."""
    for variant in fitting(op, shapes, isa):
        return variant.untuned
    reasons = (f"{v.name} {v.misfit(op, shapes, isa)}" for v in variants_of(op.kind))
    raise InputError(
        f"{op.kind} on input shapes {', '.join(map(str, shapes))} has no kernel for the "
        f"instruction set {isa}: {'; '.join(reasons)}"
    )


def lower(
    op: Operator, shapes: Shapes, constants: Constants, isa: str, choice: Choice
) -> TirKernel:
    """Scheduled TIR of the kernel that was chosen, its constants as they lie in flash."""
    variant = _named(op.kind, choice)
    reason = variant.misfit(op, shapes, isa)
    if reason:
        raise InputError(
            f"{op.kind} on input shapes {', '.join(map(str, shapes))} for {isa} cannot have the "
            f"kernel {variant.name}, which {reason}"
        )
    return variant.lower(op, shapes, constants, *(value for _, value in choice.knobs))


def _named(kind: str, choice: Choice) -> Variant:
    """The variant that ``choice`` names, which must have its knobs and these values for them."""
    variants = {variant.name: variant for variant in variants_of(kind)}
    variant = variants.get(choice.variant)
    if variant is None:
        problem = f"{kind} has no kernel {choice.variant!r}"
        raise no_such(problem, choice.variant, tuple(variants), label="it has")
    names = [name for name, _ in choice.knobs]
    if names != [*variant.knobs] or any(v not in variant.knobs[name] for name, v in choice.knobs):
        raise InputError(
            f"{kind}: kernel {variant.name} with knobs {choice.knobs}, expected one of the values "
            f"for each of {dict(variant.knobs)}, in this order"
        )
    return variant
