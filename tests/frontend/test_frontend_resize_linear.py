# SPDX-License-Identifier: Apache-2.0
"""Linear resizing of maps and series, against onnxruntime and LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qdq_models import Model, differences
from tflite_models import T, gap, indices, save

from tinytailor.compiler import load_model
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

MAP, SERIES = (1, 4, 5, 6), (1, 4, 9)
SHARE = 0.07  # of the elements that may be one step off: most are exact halves or nearly so


def resized(
    shape: tuple[int, ...],
    coordinates: str,
    scales: tuple[float, ...] = (),
    sizes: tuple[int, ...] = (),
    **more: object,
) -> Model:
    model = Model()
    inputs = [model.input(shape), "", ""]
    if sizes:
        inputs.append(model.constant("sizes", np.array(sizes, np.int64)))
    else:
        inputs[2] = model.constant("scales", np.array(scales, np.float32))
    scale = float(more.pop("scale", 0.02))
    y = model.node(
        "Resize", inputs, mode="linear", coordinate_transformation_mode=coordinates, **more
    )
    model.result = model.quantized(y, scale, 3)
    return model


MODELS = {
    "twice as large": lambda: resized(MAP, "half_pixel", (1, 1, 2, 2)),
    "corners": lambda: resized(MAP, "align_corners", (1, 1, 3, 3)),
    "asymmetric": lambda: resized(MAP, "asymmetric", (1, 1, 1.7, 2.3)),
    "as torch": lambda: resized(MAP, "pytorch_half_pixel", sizes=(1, 4, 1, 17)),
    "symmetric": lambda: resized(MAP, "half_pixel_symmetric", (1, 1, 1.7, 2.3)),
    "smaller": lambda: resized(MAP, "half_pixel", sizes=(1, 4, 3, 5)),
    "rows": lambda: resized(MAP, "half_pixel", sizes=(1, 4, 12, 6)),
    "columns": lambda: resized(MAP, "half_pixel", sizes=(1, 4, 5, 11)),
    "channels": lambda: resized(MAP, "half_pixel", sizes=(1, 7, 5, 6)),
    "channels and rows": lambda: resized(MAP, "half_pixel", sizes=(1, 7, 8, 6)),
    "repeated rows": lambda: resized((1, 4, 1, 6), "half_pixel", sizes=(1, 4, 3, 11)),
    "series": lambda: resized(SERIES, "half_pixel", sizes=(1, 4, 25)),
    "coarser": lambda: resized(MAP, "asymmetric", (1, 1, 1.7, 2.3), scale=0.0313),
    "finer": lambda: resized(MAP, "asymmetric", (1, 1, 1.7, 2.3), scale=0.0137),
    "not larger": lambda: resized(
        MAP, "half_pixel", sizes=(7, 13), axes=[2, 3], keep_aspect_ratio_policy="not_larger"
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_linear_resizing_is_within_one_step_of_onnxruntime(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    path = model.save(tmp_path / "model.onnx", model.result, opset=19)
    graph = load_model(path)
    count, largest, elements = differences(path, graph)
    kinds = [node.op.kind for node in graph.nodes]
    print(f"{name}: {kinds}, {count} of {elements} elements differ, at most by {largest}")
    assert kinds.count("resize_linear") == 1
    assert largest <= 1
    assert count <= SHARE * elements


def test_places_that_are_elements_are_only_selected(tmp_path: Path) -> None:
    model = resized(MAP, "asymmetric", sizes=(1, 4, 5, 3))
    graph = load_model(model.save(tmp_path / "model.onnx", model.result))
    assert [node.op.kind for node in graph.nodes] == ["take"]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"antialias": 1, "scales": (1, 1, 0.5, 0.5)}, "a filter against aliasing"),
        ({"scales": (1, 2, 1.5, 1.5)}, "it interpolates along 3 axes, expected one or two"),
    ],
)
def test_other_linear_resizing_is_refused(attributes, reason: str, tmp_path: Path) -> None:
    model = resized(MAP, "half_pixel", **attributes)
    path = model.save(tmp_path / "model.onnx", model.result, opset=19)
    with pytest.raises(InputError, match=rf"Resize .*{reason}"):
        load_model(path)


@pytest.mark.parametrize("size", [(18, 16), (7, 21), (4, 4)], ids=str)
@pytest.mark.parametrize("field", ["", "alignCorners", "halfPixelCenters"])
def test_bilinear_resizing_equals_that_of_litert(
    field: str, size: tuple[int, int], tmp_path: Path
) -> None:
    height, width = size
    inputs, output = [T((1, 9, 8, 3)), *indices([height, width])], T((1, height, width, 3))
    fields = {field: True} if field else {}
    path = save(
        tmp_path / "model.tflite",
        "RESIZE_BILINEAR",
        inputs,
        output,
        "ResizeBilinearOptions",
        **fields,
    )
    distances = gap(path, load_model(path))
    assert distances.max() == 0
