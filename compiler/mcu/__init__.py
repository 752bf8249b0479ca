# SPDX-License-Identifier: Apache-2.0
"""The back end for microcontrollers: integer graph -> program -> C -> image -> outputs and costs.

backend.py        the back end as an object: check, emit, run, profile

lower   program.py                the graph as one value: kernels, arena, addresses
print   c_text.py, comments.py    its C text
        project.py, manifest.py   the files of its project, with templates/
build   build.py                  what lies in the folder, compiled and linked
run     run.py                    on an emulated core: outputs, and counts by layer
        host.py, on_board.py      on this machine under sanitizers, on a board at a serial port
        measure.py                sizes, stack, cycles, layer by layer

interface.py      what a network and its layers are called, from outside
report.py         what people read of a manifest, with arena_chart.py
linked.py         memory of a program that is linked and not run, for predictions
kernel_image.py   single operators, for latency tables
"""

from tinytailor.compiler.mcu.kernel_image import KernelImage, KernelInfo, kernel_image

__all__ = ["KernelImage", "KernelInfo", "kernel_image"]
