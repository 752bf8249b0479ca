# SPDX-License-Identifier: Apache-2.0
"""How operators are computed on cores: a folder for each, bricks, instruction sets."""
