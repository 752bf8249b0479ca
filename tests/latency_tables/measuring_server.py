# SPDX-License-Identifier: Apache-2.0
"""What the server of measuring.started loads once: TVM, but not torch, which TVM would load too."""

import sys

sys.modules["torch"] = None  # type: ignore[assignment]

import tinytailor.compiler.mcu.kernel_image  # noqa: E402, F401
