# SPDX-License-Identifier: Apache-2.0
"""What is in a model file, and what would become of it, before any target is named.

    onnx_file.py, tflite_file.py   what the file says    --+
    trial.py                       what the importer says  +--> record.Inspection
    here                           what would be compiled -+

Nothing is estimated: what a file does not say and a trial does not show is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinytailor.compiler.frontend.load import read_file, suffix_of
from tinytailor.compiler.frontend.quiet import quiet
from tinytailor.compiler.inspection.onnx_file import read_onnx
from tinytailor.compiler.inspection.record import (
    ALLOW_FLOAT,
    AS_IT_IS,
    CALIBRATION,
    FLOAT,
    INTEGER,
    NO_FORM,
    RANDOM_SAMPLES,
    FileOperator,
    Inspection,
    IntegerGraph,
    Layer,
    ModelFile,
    Refusal,
)
from tinytailor.compiler.inspection.tflite_file import read_tflite
from tinytailor.compiler.inspection.trial import Key, Trial, float_trial, import_trial
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.mcu.program import lower_graph
from tinytailor.compiler.passes import optimize
from tinytailor.targets.core import Isa
from tinytailor.targets.errors import InputError

NOT_KNOWN = "no form of it is known; docs/operators.md lists what can be computed"
READERS = {".onnx": read_onnx, ".tflite": read_tflite}


def inspect_model(
    path: Path | str, calibration: Mapping[str, np.ndarray] | np.ndarray | None = None
) -> Inspection:
    """What is in a .onnx or .tflite file, and whether it would be compiled.

    A float model is quantized to see that, with ``calibration`` (as of ``load_model``), or without
    it with random samples. Raises InputError for a file that cannot be read and for samples that
    do not fit; what is refused is part of the result.
    """
    path = Path(path)
    suffix, data = suffix_of(path), read_file(path)
    with quiet(), np.errstate(all="ignore"):
        file = READERS[suffix](data, path)
    if file.quantized and calibration is not None:
        raise InputError(
            f"{path.name} is quantized already: calibration is for float models; inspect it "
            "without --calibration"
        )
    tried: str | None = AS_IT_IS
    if file.quantized:
        trial = import_trial(data, suffix, path)
    else:
        trial, tried = float_trial(data, suffix, path, calibration)
    forms, refused = matched(file, trial)
    accepted = trial.graph is not None
    needs = [] if file.quantized else [CALIBRATION]
    needs += [ALLOW_FLOAT] if accepted and refused else []
    return Inspection(
        str(path),
        len(data),
        file,
        forms,
        tried,
        accepted,
        tuple(needs),
        refused,
        (trial.problem,) if trial.problem else (),
        None if trial.graph is None else integer_graph(trial.graph, tried != RANDOM_SAMPLES),
    )


def matched(file: ModelFile, trial: Trial) -> tuple[tuple[str | None, ...], tuple[Refusal, ...]]:
    """The form of each operator of the file, and the refusals under the names of the file."""
    forms: list[str | None] = [None if trial.unreached is None else INTEGER] * len(file.operators)
    for keys, form in ((trial.unreached, None), (trial.in_float, FLOAT)):
        for key in keys or ():
            for place in places_of(file.operators, key):
                forms[place] = form
    refused = []
    for item in trial.refused or (file.unknown if trial.problem else ()):
        places = places_of(file.operators, (item.operator, item.place.split(" ", 1)[1]))
        for place in places:
            forms[place] = FLOAT if item.allow_float else NO_FORM
        if places:
            own = file.operators[places[0]]
            item = replace(item, operator=own.kind, place=own.place)
        refused.append(replace(item, reason=item.reason or NOT_KNOWN))
    return tuple(forms), tuple(refused)


def places_of(operators: Sequence[FileOperator], key: Key) -> list[int]:
    """Which operators of the file a trial means, whose writers may have made several of one."""
    kind, where = key
    names = [operator.trial_name for operator in operators]
    if where not in names:
        inside = [name for name in names if where.startswith(f"{name}/")]
        where = max(inside, key=len, default="")
    same = [place for place, name in enumerate(names) if name == where]
    return [place for place in same if operators[place].kind == kind] or same


def integer_graph(graph: Graph, real_ranges: bool) -> IntegerGraph:
    """``graph`` as it would be compiled, as far as that does not depend on ranges which are not
    real."""
    optimized, _ = optimize(graph, weights=real_ranges)
    program = lower_graph(optimized, Isa.BASE, "model")
    layers = tuple(
        Layer(
            node.name,
            node.op.kind,
            optimized.tensors[node.output].shape,
            optimized.node_macs(node),
        )
        for node in optimized.nodes
    )
    return IntegerGraph(
        len(layers),
        optimized.macs,
        program.constant_bytes,
        program.plan.arena_bytes,
        program.plan.optimal,
        layers,
    )


__all__ = ["Inspection", "inspect_model"]
