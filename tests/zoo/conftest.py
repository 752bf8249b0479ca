# SPDX-License-Identifier: Apache-2.0
"""Puts this folder on the path of its tests: they share builders and comparisons."""
