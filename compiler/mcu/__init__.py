# SPDX-License-Identifier: Apache-2.0
"""The back end for microcontrollers: integer graph -> TIR -> plain C.

tir, intrinsics     what operators build kernels from: schedules, register-blocked inner loops
render, kernel      lowered TIR to C text
source, project     the emitted files, building and running them
backend             emit, verify, profile
kernel_image        single operators, for latency tables
"""

from tinytailor.compiler.mcu.kernel_image import KernelImage, KernelInfo, kernel_image

__all__ = ["KernelImage", "KernelInfo", "kernel_image"]
