# SPDX-License-Identifier: Apache-2.0
"""Filling a table: shipped rows, and operators in batches, on workers, emulated or on a board."""
