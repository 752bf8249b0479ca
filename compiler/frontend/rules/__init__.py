# SPDX-License-Identifier: Apache-2.0
"""What calls of a model mean in integers: one file a family of operators."""
