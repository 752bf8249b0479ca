# SPDX-License-Identifier: Apache-2.0
"""How operators are computed on cores.

registry.choose(op, shapes, isa)            Choice      which file of <kind>/
registry.lower(op, ..., choice)             TirKernel   scheduled TIR
c_function.print_kernel(kernel, choice)     Kernel      C text, constants, scratch, overlap

<kind>/   an operator: ``VARIANTS``, one file a variant, and what its variants share
bricks/   what variants are built from: TIR, patches, overlap, printing
isa/      blocks of assembly of an instruction set, the meaning beside the text
"""
