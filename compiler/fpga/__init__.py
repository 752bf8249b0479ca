# SPDX-License-Identifier: Apache-2.0
"""The FPGA back end: a W4A8 chain as an HLS project for a CoDeNet-style convolution engine.

check     everything that keeps a graph from running on the engine, in one InputError
emit      the project of a graph, and its manifest
verify_csim, run_csim   the project's C simulation against expected integers
"""

from tinytailor.compiler.fpga.csim import (
    CsimReport,
    check_weights,
    interpret,
    run_csim,
    verify_csim,
)
from tinytailor.compiler.fpga.limits import OPERATORS, check
from tinytailor.compiler.fpga.project import emit

__all__ = [
    "OPERATORS",
    "CsimReport",
    "check",
    "check_weights",
    "emit",
    "interpret",
    "run_csim",
    "verify_csim",
]
