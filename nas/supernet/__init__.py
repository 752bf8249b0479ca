# SPDX-License-Identifier: Apache-2.0
"""All networks of a space in one module, and what a distribution over them costs."""
