# SPDX-License-Identifier: Apache-2.0
"""A model file to a verified project for a target; the only package that imports TVM.

frontend        ONNX and TFLite, through TVM Relax, to the integer graph
ir, ops         the graph and its operators
passes          the graph made smaller and faster
kernels         operators as C functions, by instruction set
memory          the arena
inspection      what is in a model file, and what would become of it
backend         what a back end is, and which there are: mcu, fpga
api             compile, verify, profile
"""

from tinytailor.compiler.api import compile_model, operators_of, profile, verify
from tinytailor.compiler.execute import execute
from tinytailor.compiler.frontend.load import load_model
from tinytailor.compiler.inspection import inspect_model
from tinytailor.compiler.ir import Graph, Node, Tensor
from tinytailor.compiler.memory.predicted import constant_bytes, plan_memory
from tinytailor.compiler.opkey import OpKey, example_graph, key_of, make_key

__all__ = [
    "Graph",
    "Node",
    "OpKey",
    "Tensor",
    "compile_model",
    "constant_bytes",
    "example_graph",
    "execute",
    "inspect_model",
    "key_of",
    "load_model",
    "make_key",
    "operators_of",
    "plan_memory",
    "profile",
    "verify",
]
