# SPDX-License-Identifier: Apache-2.0
"""What the server of measuring.started loads once: TVM, but not torch, which TVM would load too."""

from tinytailor.latency_tables.measuring.pool import hide_torch

hide_torch()

import tinytailor.compiler.mcu.kernel_image  # noqa: E402, F401
