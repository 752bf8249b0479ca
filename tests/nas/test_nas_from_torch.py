# SPDX-License-Identifier: Apache-2.0
"""A torch.nn.Module becomes a quantized model that compiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tinytailor.compiler import compile_model, load_model, verify
from tinytailor.nas.from_torch import from_torch
from tinytailor.targets import load_target
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.emulator, pytest.mark.torch, pytest.mark.tvm]


class Small(nn.Module):
    """Convolution, batch norm, a residual round a depthwise convolution, classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.classes = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = nn.functional.hardswish(self.stem(x))
        b = torch.relu(self.norm(self.depthwise(a)) + a)
        return self.classes(b.mean((2, 3)))


@pytest.fixture(scope="module")
def module() -> Small:
    torch.manual_seed(0)
    module = Small()
    with torch.no_grad():
        for _ in range(4):  # batch norms of a trained network have statistics
            module(torch.randn(16, 3, 8, 8))
    return module


@pytest.fixture(scope="module")
def samples() -> torch.Tensor:
    return torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_a_module_is_quantized_and_compiles_to_nearly_its_numbers(module, samples, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(from_torch(module, samples))
    graph = load_model(path)
    kinds = [node.op.kind for node in graph.nodes]
    assert kinds.count("conv2d") == 1
    assert kinds.count("depthwise_conv2d") <= 2  # the layer and the mean
    compile_model(graph, load_target("nucleo-l4r5zi"), tmp_path / "p", "net", model_sha256="")
    source, result = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    x = samples.numpy().transpose(0, 2, 3, 1)
    steps = np.rint(x / np.float32(source.scale)) + source.zero_point
    report = verify(tmp_path / "p", "emulator", np.clip(steps, -128, 127).astype(np.int8))
    assert report["bit_exact"]
    ours = (report["outputs"][0].astype(np.int64) - result.zero_point) * result.scale
    with torch.no_grad():
        expected = module.eval()(samples).numpy()
    assert np.sqrt(np.mean((ours - expected) ** 2)) < 0.05 * expected.std()


def test_the_module_keeps_its_mode_and_gives_the_same_bytes_again(module, samples):
    module.train()
    module.norm.eval()
    first = from_torch(module, samples)
    assert module.training
    assert not module.norm.training
    assert from_torch(module, samples.numpy().astype(np.float64)) == first


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("not for tracing")


def test_what_cannot_be_exported_or_quantized_is_one_sentence(module, samples):
    with pytest.raises(InputError, match=r"module Branching cannot be exported .* not for tracing"):
        from_torch(Branching(), samples)
    with pytest.raises(InputError, match="module Small cannot be exported"):
        from_torch(module, samples[:, :2])
    with pytest.raises(InputError, match="expected \\(samples, shape of one sample\\)"):
        from_torch(module, samples[:0])
    with pytest.raises(InputError, match="NaN or infinity"):
        from_torch(module, samples * float("nan"))
    with pytest.raises(InputError, match="no quantization scheme is called"):
        from_torch(module, samples, scheme="int1")
