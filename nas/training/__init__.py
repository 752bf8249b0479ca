# SPDX-License-Identifier: Apache-2.0
"""Training in float, and quantization-aware."""
