# SPDX-License-Identifier: Apache-2.0
"""The kernels of an operator, found by its kind: the folder of that name and its ``VARIANTS``.

    has_kernel(kind)                    is there a folder, asked without loading it
    fitting(op, shapes, isa)            the variants that compute an operator, the preferred first
    choose(op, shapes, isa)             the first of them, as a value
    lower(op, shapes, constants, isa, choice)    its TIR

Folders are loaded when they are asked for, and TVM with them.
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

PACKAGE = "tinytailor.compiler.kernels"
NO_OPERATORS = ("bricks", "isa")  # folders of what kernels are built from


def has_kernel(kind: str) -> bool:
    """Whether operators of this kind run on microcontrollers."""
    if kind in NO_OPERATORS or not kind.isidentifier():
        return False
    spec = find_spec(f"{PACKAGE}.{kind}")
    return spec is not None and spec.submodule_search_locations is not None


def variants_of(kind: str) -> tuple[Variant, ...]:
    """All variants of the kind, the preferred first."""
    if not has_kernel(kind):
        raise InputError(
            f"{kind} has no kernel for microcontrollers; one is a folder compiler/kernels/{kind}"
        )
    variants: tuple[Variant, ...] = import_module(f"{PACKAGE}.{kind}").VARIANTS
    return variants


def misfit(variant: Variant, op: Operator, shapes: Shapes, isa: str) -> str:
    """Why ``variant`` does not compute ``op`` on these shapes there, "" if it does."""
    if isa not in variant.isas:
        return f"needs {' or '.join(variant.isas)}"
    return variant.misfit(op, shapes)


def fitting(op: Operator, shapes: Shapes, isa: str) -> Iterator[Variant]:
    """The variants that compute ``op`` on these shapes, the preferred first."""
    return (v for v in variants_of(op.kind) if not misfit(v, op, shapes, isa))


def choose(op: Operator, shapes: Shapes, isa: str) -> Choice:
    """The preferred kernel, untuned; InputError that says of every variant why it is none."""
    for variant in fitting(op, shapes, isa):
        return variant.untuned
    reasons = "; ".join(f"{v.name} {misfit(v, op, shapes, isa)}" for v in variants_of(op.kind))
    raise InputError(
        f"{op.kind} on input shapes {', '.join(map(str, shapes))} has no kernel for {isa}: "
        f"{reasons or 'its folder lists no variant'}"
    )


def named(kind: str, choice: Choice) -> Variant:
    """The variant that ``choice`` names, which must have its knobs with such values."""
    variants = {variant.name: variant for variant in variants_of(kind)}
    variant = variants.get(choice.variant)
    if variant is None:
        known = ", ".join(variants)
        raise InputError(f"{kind} has no kernel {choice.variant!r}, expected one of {known}")
    given = dict(choice.knobs)
    if [*given] != [*variant.knobs] or any(v not in variant.knobs[n] for n, v in given.items()):
        raise InputError(
            f"{kind}: kernel {variant.name} with knobs {given}, expected one value of each of "
            f"{dict(variant.knobs)}"
        )
    return variant


def lower(
    op: Operator, shapes: Shapes, constants: Constants, isa: str, choice: Choice
) -> TirKernel:
    """Scheduled TIR of the kernel that was chosen, its constants as they lie in flash."""
    variant = named(op.kind, choice)
    reason = misfit(variant, op, shapes, isa)
    if reason:
        raise InputError(f"{op.kind}: kernel {choice.variant} was chosen for {isa}, but {reason}")
    return variant.lower(op, shapes, constants, *(value for _, value in choice.knobs))
