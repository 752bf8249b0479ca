# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization schemes, one file each."""
