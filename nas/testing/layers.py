# SPDX-License-Identifier: Apache-2.0
"""The conformance kit of kinds of layers: all forms of one compute the same, and cost the same.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_kind(check, tmp_path):
        for kind, shapes in MyKind.examples():
            check(Subject(kind, shapes, tmp_path))

The layer stands in a small network: convolutions make what it reads, a mean and a convolution make
logits of what it writes; and in a small space, where it is searched at two widths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from tinytailor.compiler import compile_model, execute, key_of, load_model, verify
from tinytailor.compiler.ir import Graph, Shape
from tinytailor.compiler.memory.aliasing import computing
from tinytailor.compiler.passes import optimize
from tinytailor.compiler.references import onnx_session
from tinytailor.nas.layers import KINDS, Kind, Layer
from tinytailor.nas.layers.base import OUT
from tinytailor.nas.layers.convolution import Convolution
from tinytailor.nas.layers.mean_pool import MeanPool
from tinytailor.nas.network.float_network import FloatNetwork, as_input, walk
from tinytailor.nas.network.graphs import compiled_keys, input_type
from tinytailor.nas.network.onnx_file import export_onnx, float_onnx_model
from tinytailor.nas.network.topology import INPUT, Topology, input_name
from tinytailor.nas.quantization import QUANTIZERS, Quantizer, dequantize
from tinytailor.nas.spaces import Decision, Space, SpaceKind
from tinytailor.nas.spaces.cells import Cell, Item, Part, Pass
from tinytailor.nas.testing import spaces
from tinytailor.nas.testing.networks import quantized_network, random_input, seeded, uneven_network
from tinytailor.nas.training.qat import QatNetwork
from tinytailor.targets import load_target

CLASSES = 3
ENTERING = 2  # channels of the network's input
BOARD = "nucleo-f446re"
FLOAT_TOLERANCE = 1e-4  # of onnxruntime against torch, relative and absolute
NEAR = 0.05  # simulated training to the integers, in standard deviations of the logits


@dataclass(frozen=True)
class Subject:
    """A kind for inputs of ``shapes``; what is compiled goes into ``folder``."""

    kind: Kind
    shapes: tuple[Shape, ...]
    folder: Path
    quantizer: Quantizer = QUANTIZERS["int8"]

    @cached_property
    def alone(self) -> Topology:
        """The layer and nothing else."""
        sources = tuple(input_name(i) for i in range(len(self.shapes)))
        layer = Layer("layer", sources, self.kind)
        return Topology(self.shapes[0], (layer,), False, self.shapes[1:])

    @property
    def samples(self) -> bool:
        """Whether it reads the samples of a sensor, and so stands first."""
        return input_type(self.alone) != "int8"

    @property
    def map(self) -> tuple[int, int]:
        """The largest of the maps that it reads; the others have one pixel."""
        return max((shape[1], shape[2]) for shape in self.shapes)

    @cached_property
    def network(self) -> Topology:
        """The layer in a network of (1, 1, 1, CLASSES) outputs."""
        layers: list[Layer] = []
        sources = [INPUT] if self.samples else []
        for index, (_, height, width, channels) in enumerate(
            self.shapes if not self.samples else ()
        ):
            kind = Convolution((1, 1), channels=channels)
            layers.append(Layer(f"in{index}", (INPUT,), kind))
            if (height, width) != self.map:
                layers.append(Layer(f"mean{index}", (f"in{index}",), MeanPool()))
            sources.append(layers[-1].name)
        layers.append(Layer("layer", tuple(sources), self.kind))
        if self.alone.steps[-1].shape[1:3] != (1, 1):
            layers.append(Layer("pool", ("layer",), MeanPool()))
        last = Convolution((1, 1), relu=False, norm=False, channels=CLASSES)
        layers.append(Layer("classify", (layers[-1].name,), last))
        entering = self.shapes[0][3] if self.samples else ENTERING
        return Topology((1, *self.map, entering), tuple(layers))

    @cached_property
    def x(self) -> np.ndarray:
        x = random_input(self.network, seed=0)
        return np.rint(spaces.SWING * x) if self.samples else x

    @cached_property
    def qat(self) -> QatNetwork:
        return quantized_network(self.network, self.quantizer, self.x)

    @cached_property
    def imported(self) -> Graph:
        """The QDQ file of the network as the compiler's front end reads it."""
        path = self.folder / "layer.onnx"
        export_onnx(self.qat.quantized(), path, "layer", {})
        return load_model(path)


def it_is_a_value_of_a_registered_kind(subject: Subject) -> None:
    kind = subject.kind
    assert KINDS[kind.name] is type(kind)
    assert replace(kind) == kind  # type: ignore[type-var]
    assert len({kind, replace(kind)}) == 1  # type: ignore[type-var]


def its_steps_read_what_is_there_and_the_last_one_writes_its_output(subject: Subject) -> None:
    known: set[int | str] = set(range(len(subject.shapes)))
    steps = subject.kind.steps(*subject.shapes)
    for step in steps:
        assert known.issuperset(step.reads)
        assert step.writes not in known
        known.add(step.writes)
    assert steps[-1].writes == OUT
    assert OUT not in {step.writes for step in steps[:-1]}


def it_writes_as_many_channels_as_it_is_asked_for(subject: Subject) -> None:
    if subject.samples:  # what it reads decides
        assert subject.kind.at(4) == subject.kind
        return
    for channels in (4, 7):
        shapes = tuple((*shape[:3], 5) for shape in subject.shapes)
        *_, last = replace_kind(subject, subject.kind.at(channels), shapes).alone.steps
        assert last.shape[3] == (5 if subject.kind.one_width else channels)


def its_weights_come_from_the_generator_alone(subject: Subject) -> None:
    torch.manual_seed(1)
    first = FloatNetwork(subject.network, seeded(0)).state_dict()
    torch.manual_seed(2)
    again = FloatNetwork(subject.network, seeded(0)).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)


def folding_changes_nothing(subject: Subject) -> None:
    network, x = uneven_network(subject.network, subject.x), as_input(subject.x)
    folded = network.folded()
    with torch.no_grad():
        values = walk(
            subject.network,
            x,
            lambda step, read: step.primitive.compute(folded.get(step.name, {}), *read),
        )
        expected = network(x)
    torch.testing.assert_close(
        values[subject.network.output].flatten(1), expected, rtol=1e-4, atol=1e-4
    )
    assert expected.std() > 1e-3


def float_torch_is_float_onnx(subject: Subject) -> None:
    if subject.samples:  # in ONNX it is integers alone
        return
    network = uneven_network(subject.network, subject.x)
    model = float_onnx_model(subject.network, network.folded(), "layer")
    with torch.no_grad():
        expected = network(as_input(subject.x)).numpy()
    session = onnx_session(model)
    rows = [session.run(None, {"input": x[None]})[0] for x in as_input(subject.x).numpy()]
    np.testing.assert_allclose(np.concatenate(rows), expected, FLOAT_TOLERANCE, FLOAT_TOLERANCE)


def every_weight_learns_in_float_and_quantized(subject: Subject) -> None:
    x = as_input(subject.x)
    y = torch.arange(len(x)) % CLASSES
    for network in (uneven_network(subject.network, subject.x), subject.qat):
        network.zero_grad()
        torch.nn.functional.cross_entropy(network.train()(x), y).backward()
        for name, parameter in network.named_parameters():
            if not parameter.requires_grad:
                continue
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().max() > 0, name


def simulated_training_is_near_the_integers(subject: Subject) -> None:
    """A rounding that falls the other way may be several steps further on, and is rare."""
    network, x = subject.qat, as_input(subject.x)
    with torch.no_grad():
        simulated, computed = network.train()(x), network.eval()(x)
    apart = torch.sqrt(torch.mean((simulated - computed) ** 2))
    assert float(apart) <= NEAR * float(computed.std())


def evaluation_is_the_integer_graph_and_the_imported_file(subject: Subject) -> None:
    network = subject.qat.quantized()
    q = network.quantize_input(subject.x)
    (logits,) = execute(network.graph(), q)
    seen = subject.qat.eval()(as_input(subject.x)).detach().numpy()
    np.testing.assert_array_equal(seen, dequantize(logits, network.output))
    (imported,) = execute(subject.imported, q)
    np.testing.assert_array_equal(imported, logits)
    assert len(np.unique(logits)) > 3


def what_is_priced_is_what_is_compiled(subject: Subject) -> None:
    """Alone, the keys of the layer are those of its operators in a network before anything is
    fused; in a network, those of all layers are the compiled graph's."""
    for isa in spaces.ISAS:
        graph = subject.imported
        running = [key_of(node, graph, isa) for node in computing(graph)]
        assert running == list(subject.network.keys(isa))
        assert set(subject.alone.keys(isa)) <= set(running)
        compiled, _ = optimize(graph)
        made = sorted(key_of(node, compiled, isa) for node in computing(compiled))
        assert made == sorted(compiled_keys(subject.network, isa))


def it_is_searched_as_it_is_built(subject: Subject) -> None:
    """Its shared weights, expected costs and keys in a space that offers it at two widths."""
    if subject.samples:  # it stands first, and the kit of spaces sees it there
        return
    kind = space_of(subject)
    spaces.a_certain_supernet_computes_the_exported_network(kind)
    spaces.expected_latency_and_flash_are_the_mean_over_all_networks(kind)
    spaces.expected_memory_of_a_certain_network_is_its_largest_layer(kind)
    spaces.the_keys_are_those_of_all_networks_and_no_others(kind)
    spaces.the_supernet_asks_for_prices_that_the_space_lists(kind)
    spaces.decisions_receive_gradients_from_every_term(kind)


def the_emitted_c_computes_the_same_on_host_and_emulator(subject: Subject) -> None:
    board = load_target(BOARD)
    project = subject.folder / "project"
    compile_model(subject.imported, board, project, "layer", model_sha256="")
    q = subject.qat.quantized().quantize_input(subject.x)
    for on in ("host", "emulator"):
        report = verify(project, on, q)
        assert report["bit_exact"], on
        assert report["samples"] == len(q)


Check = Callable[[Subject], None]
CHECKS: tuple[Check, ...] = (
    it_is_a_value_of_a_registered_kind,
    its_steps_read_what_is_there_and_the_last_one_writes_its_output,
    it_writes_as_many_channels_as_it_is_asked_for,
    its_weights_come_from_the_generator_alone,
    folding_changes_nothing,
    float_torch_is_float_onnx,
    every_weight_learns_in_float_and_quantized,
    simulated_training_is_near_the_integers,
    evaluation_is_the_integer_graph_and_the_imported_file,
    what_is_priced_is_what_is_compiled,
    it_is_searched_as_it_is_built,
    the_emitted_c_computes_the_same_on_host_and_emulator,
)


def replace_kind(subject: Subject, kind: Kind, shapes: tuple[Shape, ...]) -> Subject:
    return Subject(kind, shapes, subject.folder, subject.quantizer)


def space_of(subject: Subject) -> SpaceKind:
    """A space with the layer: what it reads has one of two widths, what it writes as well, and it
    may be left out where it writes what it reads."""
    wide = subject.shapes[0][3]
    entering = Decision("entry.channels", (max(1, wide // 2), wide))
    leaving = Decision("layer.channels", (4, 6))
    offered = Decision("layer.offered", (0, 1))
    items: list[Item] = []
    same = subject.kind.one_width and subject.alone.steps[-1].shape == subject.shapes[0]
    there = (offered.among(1),) if same else ()
    for index, shape in enumerate(subject.shapes):
        when = there if index else ()
        items.append(Part(f"in{index}", Convolution((1, 1)), width=entering, when=when))
        if shape[1:3] != subject.map:
            items.append(Part(f"mean{index}", MeanPool(), (f"in{index}",), when=when))
    reads = tuple(
        f"in{index}" if shape[1:3] == subject.map else f"mean{index}"
        for index, shape in enumerate(subject.shapes)
    )
    width = None if subject.kind.one_width else leaving
    items.append(Part("layer", subject.kind, reads, width, there, "y"))
    decisions = (entering,) if width is None else (entering, leaving)
    if same:
        items.append(Pass("y", reads[0], (offered.among(0),)))
        decisions = (entering, offered)
    last = Convolution((1, 1), relu=False, norm=False)
    head = (Part("pool", MeanPool()), Part("classify", last, ("pool",), CLASSES))
    cells = (Cell("layer", decisions, tuple(items)), Cell("head", (), head))
    space = Space("layer", (*subject.map, ENTERING), CLASSES, "layer", cells)
    return SpaceKind(("HEIGHT",), (1,), lambda _: space, lambda: space)
