# SPDX-License-Identifier: Apache-2.0
"""Build and run the C simulation of an emitted project, and compare it with expected integers.

Builds go to a temporary folder, so an emitted project stays as it was written.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler.fpga.golden import run
from tinytailor.compiler.fpga.units.words import padded
from tinytailor.targets.errors import CheckError, InputError, ToolError

TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class CsimReport:
    """The outcome of a comparison; ``first`` describes the first difference, "" without one."""

    images: int
    values: int
    mismatches: int
    first: str = ""

    @property
    def bit_exact(self) -> bool:
        return self.mismatches == 0


def run_csim(folder: Path, inputs: np.ndarray, *, sanitize: bool = False) -> np.ndarray:
    """int8 images (N, H, W, C) through the project's C simulation; int8 results (N, H, W, C').

    ``sanitize`` builds with the address and undefined-behaviour sanitizers. Raises ToolError
    without make or g++ or when the sources do not compile, CheckError when the simulation fails.
    """
    manifest = _manifest(folder)
    images = _images(manifest, inputs)
    _, height, width, channels = manifest["outputs"][0]["shape"]
    with tempfile.TemporaryDirectory(prefix="tinytailor-csim-") as scratch:
        binary = _build(folder, Path(scratch), "csim-sanitize" if sanitize else "csim")
        source, sink = Path(scratch, "in.bin"), Path(scratch, "out.bin")
        source.write_bytes(padded(images).tobytes())
        done = _call([str(binary), str(folder), str(source), str(sink)])
        if done.returncode:
            raise CheckError(f"{folder}: C simulation failed: {_first_lines(done.stderr)}")
        raw = np.frombuffer(sink.read_bytes(), np.int8)
    return raw.reshape(len(images), height, width, -1)[..., :channels].copy()


def verify_csim(
    folder: Path,
    inputs: np.ndarray | None = None,
    expected: np.ndarray | None = None,
    *,
    sanitize: bool = False,
) -> CsimReport:
    """Compare the C simulation with expected integers, bit for bit.

    Without ``inputs``: the project's golden vectors. With ``inputs`` alone: the interpreter of the
    packed program, whose files must then have the digests in SHA256SUMS (CheckError if not).
    With ``expected`` (N, H, W, C'): those, for instance the compiler's own integer reference.
    """
    manifest = _manifest(folder)
    if inputs is None:
        if expected is not None:
            raise InputError(f"{folder}: expected outputs were given without inputs")
        inputs = _golden(folder, "in.bin", manifest["inputs"][0]["shape"])
        expected = _golden(folder, "out.bin", manifest["outputs"][0]["shape"])
    elif expected is None:
        expected = interpret(folder, inputs)
    actual = run_csim(folder, inputs, sanitize=sanitize)
    if actual.shape != expected.shape:
        raise InputError(
            f"{folder}: expected outputs {expected.shape}, the project makes {actual.shape}"
        )
    wrong = np.argwhere(actual != expected)
    first = ""
    if len(wrong):
        n, row, column, channel = (int(index) for index in wrong[0])
        first = (
            f"image {n} row {row} column {column} channel {channel}: "
            f"got {actual[tuple(wrong[0])]}, expected {expected[tuple(wrong[0])]}"
        )
    return CsimReport(len(actual), actual.size, len(wrong), first)


def interpret(folder: Path, inputs: np.ndarray) -> np.ndarray:
    """What the packed program means, by numpy; (N, H, W, C) to (N, H, W, C')."""
    manifest = _manifest(folder)
    channels = manifest["outputs"][0]["shape"][3]
    program, weights = (
        _trusted(folder, f"hls/weights/{name}.bin") for name in ("program", "weights")
    )
    results = run(program, weights, padded(_images(manifest, inputs)))
    return results[-1].output[..., :channels]


def check_weights(folder: Path) -> None:
    """CheckError when program or weights are not those that were emitted, used or not."""
    for name in ("program", "weights"):
        _trusted(folder, f"hls/weights/{name}.bin")


def _trusted(folder: Path, name: str) -> bytes:
    """The bytes of a file, or CheckError when they are not those that were emitted."""
    data = _read(folder / name)
    line = f"{hashlib.sha256(data).hexdigest()}  {name}"
    if line not in _read(folder / "SHA256SUMS").decode("utf-8", "replace").splitlines():
        raise CheckError(f"{folder / name} differs from its digest in SHA256SUMS: compile again")
    return data


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest = json.loads(_read(path))
        shapes = [manifest[role][0]["shape"] for role in ("inputs", "outputs")]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{path} is not the manifest of an FPGA project") from error
    if any(len(shape) != 4 for shape in shapes):
        raise InputError(f"{path}: shapes {shapes}, expected (1, H, W, C)")
    return dict(manifest)


def _images(manifest: dict[str, Any], inputs: np.ndarray) -> np.ndarray:
    shape = tuple(manifest["inputs"][0]["shape"][1:])
    if inputs.dtype != np.int8 or inputs.ndim != 4 or inputs.shape[1:] != shape or not len(inputs):
        raise InputError(
            f"inputs are {inputs.dtype} of shape {inputs.shape}, expected int8 of shape (N, "
            f"{', '.join(map(str, shape))}) with at least one image"
        )
    return inputs


def _golden(folder: Path, name: str, shape: list[int]) -> np.ndarray:
    """Golden images without their padded channels."""
    _, height, width, channels = shape
    path = folder / "tb" / "golden" / name
    raw = np.frombuffer(_read(path), np.int8)
    words = height * width * (-(-channels // 16) * 16)
    if raw.size == 0 or raw.size % words:
        raise InputError(f"{path} holds {raw.size} bytes, expected a multiple of {words}")
    return raw.reshape(-1, height, width, words // (height * width))[..., :channels].copy()


def _build(folder: Path, scratch: Path, target: str) -> Path:
    for tool in ("make", "g++"):
        if shutil.which(tool) is None:
            raise ToolError(f"{tool} is not on PATH, C simulation needs it: install g++ and make")
    binary = scratch / target
    done = _call(["make", "-C", str(folder), "CXX=g++", f"BUILD={scratch}", str(binary)])
    if done.returncode:
        raise ToolError(f"{folder}: the C simulation does not build: {_first_lines(done.stderr)}")
    return binary


def _call(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CheckError(f"{command[0]} did not finish within {TIMEOUT_S} s") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _first_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[:5])
