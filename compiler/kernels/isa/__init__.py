# SPDX-License-Identifier: Apache-2.0
"""Register blocks of one instruction set each, the meaning in TIR beside the text in C."""
