# SPDX-License-Identifier: Apache-2.0
"""What kernels are built from: TIR, its lowering and its printing as C."""
