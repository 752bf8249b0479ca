# SPDX-License-Identifier: Apache-2.0
"""The FPGA back end: a W4A8 chain as an HLS project for a CoDeNet-style convolution engine.

backend.py    the back end as an object: check, emit, run
units/        what the engine computes: a folder a unit, all that knows its operator
limits.py     everything that keeps a graph from running on the engine, in one InputError
program.py    the chain as steps (step.py), descriptors and packed weights
golden.py     what packed words mean, in numpy; vectors.py: images that show all of it
model.py      cycles and area by closed formulas
project.py    the files of the project, with templates/, and its manifest
csim.py       building and running its C simulation
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
