#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests that compare with other runtimes, on other x86 processors: who passes, what changes.

usage: python benchmarks/processors.py [--processors Haswell,SandyBridge] [--all | TESTS ...]

Runs pytest here and then under `qemu-x86_64 -cpu NAME` (Debian's qemu-user): Haswell has AVX2 and
no VNNI, SandyBridge neither AVX2 nor FMA. While the tests run, the answers of onnxruntime and
LiteRT are recorded with what was asked, a model and its inputs. What was asked on both processors
is compared: equal is bit for bit; close is no element further away than 1e-5 of the largest, as
sums of floats in another order are; other is all else, as where an integer differs. Files that
torch or calibration made differently there are questions of their own.

Without --all or TESTS it is a sample of about a minute here and two there. Ends with 1 if a test
fails on any processor, with 4 without qemu-user.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
CLOSE = 1e-5
GATHERS = "AVX2 X86_V3"  # of numpy, old name and new: QEMU 7.2 crashes in its exp of float32
ZOO = "tests/zoo/test_zoo_onnx.py::test_a_network_equals_onnxruntime"
SAMPLE = (
    "tests/foundations/test_references.py",
    "tests/quantize",
    "tests/frontend/test_frontend_dense.py",
    "tests/frontend/test_frontend_qoperator.py",
    f"{ZOO}[shared_weights-qdq-channel-int8-opset17]",
    f"{ZOO}[ds_cnn-qoperator-tensor-uint8-opset17]",
)
ALL = (
    "tests/foundations/test_references.py",
    "tests/quantize",
    "tests/frontend",
    "tests/zoo",
    "tests/conformance",
    "tests/nas/test_quantizer_kit.py",
)


class Recorder:
    """Answers by the hash of what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, np.ndarray] = {}
        self.models: dict[int, bytes] = {}  # of live sessions, by id
        self.inputs: dict[int, dict[str, bytes]] = {}

    def opened(self, session: Any, model: Any) -> None:
        data = model if isinstance(model, bytes) else Path(model).read_bytes()
        self.models[id(session)], self.inputs[id(session)] = hashlib.sha256(data).digest(), {}

    def given(self, session: Any, name: Any, array: Any) -> None:
        self.inputs[id(session)][str(name)] = np.ascontiguousarray(array).tobytes()

    def answered(self, session: Any, name: Any, array: Any) -> None:
        asked = hashlib.sha256(self.models[id(session)])
        for key, data in sorted(self.inputs[id(session)].items()):
            asked.update(key.encode() + data)
        self.answers[f"{asked.hexdigest()} {name}"] = np.array(array)


def watch_onnxruntime(recorder: Recorder) -> None:
    from onnxruntime import InferenceSession

    start, run = InferenceSession.__init__, InferenceSession.run

    def started(session: Any, model: Any, *arguments: Any, **options: Any) -> None:
        start(session, model, *arguments, **options)
        recorder.opened(session, model)

    def ran(session: Any, names: Any, feeds: Any, *arguments: Any) -> Any:
        results = run(session, names, feeds, *arguments)
        for name, array in feeds.items():
            recorder.given(session, name, array)
        for name, array in zip(names or range(len(results)), results, strict=True):
            recorder.answered(session, name, array)
        return results

    InferenceSession.__init__, InferenceSession.run = started, ran


def watch_litert(recorder: Recorder) -> None:
    from ai_edge_litert.interpreter import Interpreter

    start, give, get = Interpreter.__init__, Interpreter.set_tensor, Interpreter.get_tensor

    def started(session: Any, *arguments: Any, **options: Any) -> None:
        start(session, *arguments, **options)
        recorder.opened(session, options.get("model_path") or options["model_content"])
        kernels = [options["experimental_op_resolver_type"].value]
        kernels.append(options["experimental_preserve_all_tensors"])
        recorder.given(session, "kernels", np.array(kernels))

    def given(session: Any, index: Any, array: Any) -> None:
        give(session, index, array)
        recorder.given(session, index, array)

    def got(session: Any, index: Any, *arguments: Any) -> Any:
        result = get(session, index, *arguments)
        recorder.answered(session, index, result)
        return result

    Interpreter.__init__, Interpreter.set_tensor, Interpreter.get_tensor = started, given, got


def record(path: Path, tests: list[str]) -> int:
    """pytest in this process; the answers become a file."""
    import pytest

    recorder = Recorder()
    watch_onnxruntime(recorder)
    watch_litert(recorder)
    status = pytest.main([*tests, "-p", "no:cacheprovider"])
    np.savez(path, **recorder.answers)
    return int(status)


def compared(here: Path, there: Path) -> str:
    """How many answers are equal, close or other, and how many were only asked for on one side."""
    with np.load(here) as ours, np.load(there) as theirs:
        both = sorted({*ours.files} & {*theirs.files})
        found = Counter(likeness(ours[key], theirs[key]) for key in both)
        apart = len({*ours.files} ^ {*theirs.files})
    counts = ", ".join(f"{found[kind]:,} {kind}" for kind in ("equal", "close", "other"))
    return f"{counts}; {apart:,} asked on one of them only"


def likeness(a: np.ndarray, b: np.ndarray) -> str:
    if a.shape != b.shape or a.dtype != b.dtype:
        return "other"
    if a.tobytes() == b.tobytes():
        return "equal"
    return "close" if np.allclose(a, b, 0, CLOSE * np.abs(a).max(), equal_nan=True) else "other"


def run(processor: str, path: Path, tests: list[str]) -> int:
    """pytest in a process of its own, on ``processor`` or, where it is "", on this one."""
    command = [sys.executable, __file__, "--record", str(path), *tests]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if processor:
        command = ["qemu-x86_64", "-cpu", processor, *command]
        environment["NPY_DISABLE_CPU_FEATURES"] = GATHERS
    print(f"== {processor or 'this processor'}", flush=True)
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tests", nargs="*", help="what pytest is given")
    parser.add_argument("--all", action="store_true", help="every test of the kind; 30 minutes")
    parser.add_argument("--processors", default="Haswell", help="names of qemu-x86_64 -cpu help")
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    tests = options.tests or list(ALL if options.all else SAMPLE)
    if options.record:
        return record(options.record, tests)
    if platform.machine() != "x86_64" or shutil.which("qemu-x86_64") is None:
        print("qemu-x86_64 on an x86 computer is needed: apt install qemu-user", file=sys.stderr)
        return 4
    failed = []
    with tempfile.TemporaryDirectory() as name:
        here = Path(name) / "here.npz"
        failed += ["this processor"] if run("", here, tests) else []
        for processor in options.processors.split(","):
            there = Path(name) / f"{processor}.npz"
            failed += [processor] if run(processor, there, tests) else []
            if here.exists() and there.exists():  # both came to an end
                print(f"{processor}: {compared(here, there)}", flush=True)
    print(f"tests fail on {', '.join(failed)}" if failed else "the tests pass on all of them")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
