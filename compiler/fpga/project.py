# SPDX-License-Identifier: Apache-2.0
"""Write the HLS project of a graph: sources, packed weights, golden vectors, manifest.

    README.md  Makefile  hls_config.cfg  manifest.json  SHA256SUMS
    hls/   the engine; hls/weights/ layer program and packed weights; hls/hls_compat/ for csim only
    tb/    tb_top.cpp and golden/{in,layerNN,out}.bin

The engine's sources are the same for every network; only config.h (sizes of the board's engine,
depths for reports), the .bin files, the README and the manifest differ. Same graph, same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from tinytailor.compiler.execute import execute_all
from tinytailor.compiler.fpga.model import iterations, resources, step_cost
from tinytailor.compiler.fpga.program import FIELDS, FLAGS, STEP_WORDS, Program, pack
from tinytailor.compiler.fpga.step import Step
from tinytailor.compiler.fpga.units import UNITS
from tinytailor.compiler.fpga.vectors import Vectors, make_vectors
from tinytailor.compiler.ir import Graph, Tensor
from tinytailor.compiler.project import GENERATOR, tool_version
from tinytailor.compiler.real_values import Standardization
from tinytailor.targets.errors import CheckError
from tinytailor.targets.fpga import LANES, Fpga

PACKAGE = "tinytailor.compiler.fpga"
VECTOR_SEED = 0
COPIED = {
    "Makefile": "Makefile",
    "types.h": "hls/types.h",
    "requant.hpp": "hls/requant.hpp",
    "memory.hpp": "hls/memory.hpp",
    "top.hpp": "hls/top.hpp",
    "top.cpp": "hls/top.cpp",
    "hls_stream.h": "hls/hls_compat/hls_stream.h",
    "tb_top.cpp": "tb/tb_top.cpp",
}
RENDERED = {
    "config.h.j2": "hls/config.h",
    "hls_config.cfg.j2": "hls_config.cfg",
    "README.md.j2": "README.md",
}


def emit(
    graph: Graph, fpga: Fpga, folder: Path, name: str, *, model_sha256: str, fuse: bool = True
) -> dict[str, Any]:
    """Write the project of a checked graph into the empty ``folder``; its manifest.

    Nothing is written unless the packed program means what the graph means.
    """
    program = pack(graph, fuse=fuse)
    vectors = make_vectors(program, VECTOR_SEED)
    _check_packing(graph, program, vectors)
    manifest = _manifest(graph, fpga, name, model_sha256, program, vectors)
    contents = _contents(fpga, program, vectors, manifest)
    sums = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in sorted(contents.items())
    )
    contents["SHA256SUMS"] = sums.encode()
    _write(folder, contents)
    return manifest


def golden_names(steps: int) -> list[str]:
    """File names of the steps' golden outputs, in order."""
    return [f"layer{index:02d}.bin" for index in range(steps - 1)] + ["out.bin"]


def _check_packing(graph: Graph, program: Program, vectors: Vectors) -> None:
    """The packed program, read back by the golden interpreter, means what the graph means."""
    tensor = graph.inputs[0]
    channels = graph.tensors[tensor].shape[3]
    expected = execute_all(graph, {tensor: vectors.images[..., :channels]})
    for step, result in zip(program.steps, vectors.results, strict=True):
        reference = expected[step.sink.name]
        wrong = int((result.output[..., : reference.shape[3]] != reference).sum())
        if wrong:
            raise CheckError(
                f"{step.nodes[-1].name}: {wrong} of {reference.size} values of the packed program "
                "differ from the operators' reference; nothing was written"
            )


def _contents(
    fpga: Fpga, program: Program, vectors: Vectors, manifest: Mapping[str, Any]
) -> dict[str, bytes]:
    templates = files(PACKAGE) / "templates"
    contents = {target: (templates / source).read_bytes() for source, target in COPIED.items()}
    contents |= _unit_sources()
    contents["hls/weights/program.bin"] = program.descriptors
    contents["hls/weights/weights.bin"] = program.weights
    contents["tb/golden/in.bin"] = vectors.images.tobytes()
    names = golden_names(len(program.steps))
    for file, result in zip(names, vectors.results, strict=True):
        contents[f"tb/golden/{file}"] = result.output.tobytes()
    values = {
        "fpga": fpga,
        "engine": fpga.engine,
        "lanes": LANES,
        **{name: size for unit in UNITS for name, size in unit.sizes.items()},
        "fields": FIELDS,
        "step_words": STEP_WORDS,
        "flags": FLAGS,
        "trips": _largest_trips(program),
        "depth": {
            "program": len(program.descriptors) // 4,
            "weights": len(program.weights) // 8,
            "maps": program.map_words,
        },
        "golden": ["in.bin", *names],
        "manifest": manifest,
    }
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    for source, target in RENDERED.items():
        template = environment.from_string((templates / source).read_text(encoding="utf-8"))
        contents[target] = template.render(values).encode()
    return contents


def _unit_sources() -> dict[str, bytes]:
    """The HLS of every unit, by its place in the project."""
    folders = [files(PACKAGE) / "units" / unit.folder for unit in UNITS]
    sources = [path for folder in folders for path in folder.iterdir()]
    return {f"hls/{p.name}": p.read_bytes() for p in sources if p.name.endswith(".hpp")}


def _largest_trips(program: Program) -> dict[str, int]:
    """The largest trip count of each pipelined loop; 1 where no step uses the loop."""
    counts = [iterations(step) for step in program.steps]
    fewest = {name: least for unit in UNITS for name, least in unit.reported.items()}
    return {
        "map": max(max(count["read"], count["write"]) for count in counts),
        **{name: max(least, *(c[name] for c in counts)) for name, least in fewest.items()},
    }


def _manifest(
    graph: Graph, fpga: Fpga, name: str, model_sha256: str, program: Program, vectors: Vectors
) -> dict[str, Any]:
    layers = [
        _layer(graph, fpga, step, vectors.histograms(index))
        for index, step in enumerate(program.steps)
    ]
    cycles = fpga.call_cycles + sum(layer["cycles"] for layer in layers)
    return {
        "generator": GENERATOR,
        "version": tool_version(),
        "name": name,
        "target": fpga.name,
        "kind": fpga.kind,
        "part": fpga.part,
        "model_sha256": model_sha256,
        "inputs": [_entering(graph, tensor) for tensor in graph.inputs],
        "outputs": [_tensor(graph.tensors[tensor]) for tensor in graph.outputs],
        "macs": graph.macs,
        "cycles": cycles,
        "call_cycles": fpga.call_cycles,
        "latency_ms": 1e3 * cycles / fpga.clock_hz,
        "clock_hz": fpga.clock_hz,
        "layers": layers,
        "memory": {
            "program_bytes": len(program.descriptors),
            "weights_bytes": len(program.weights),
            "maps_bytes": program.map_words * LANES,
            "result_word": program.result,
        },
        "resources": resources(fpga),
        "engine": asdict(fpga.engine),
        "golden": {"images": len(vectors.images), "seed": VECTOR_SEED},
        "provenance": "modelled",
        "provenance_source": fpga.latency_source,
        "bit_exact": None,
    }


def _layer(
    graph: Graph, fpga: Fpga, step: Step, histograms: Mapping[str, list[int]]
) -> dict[str, Any]:
    cost = step_cost(step, fpga)
    return {
        "name": " + ".join(node.name for node in step.nodes),
        "op": " + ".join(node.op.kind for node in step.nodes),
        "macs": sum(graph.node_macs(node) for node in step.nodes),
        "cycles": cost.total,
        "latency_ms": 1e3 * cost.total / fpga.clock_hz,
        "bound": cost.bound,
        "iterations": iterations(step),
        "out_shape": list(step.sink.shape),
        "provenance": "modelled",
        **{f"golden_{choice}": counts for choice, counts in histograms.items()},
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "scale": float(np.float32(tensor.scale)),
        "zero_point": tensor.zero_point,
    }


def _entering(graph: Graph, name: str) -> dict[str, Any]:
    """An input, with how real numbers become its integers."""
    border = graph.borders.get(name)
    given = None if border is None else border.real
    real = given or Standardization.plain(graph.tensors[name].scale)
    return {**_tensor(graph.tensors[name]), **real.to_json(), "standardised": given is not None}


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    for path, data in contents.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
