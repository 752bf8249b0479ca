# SPDX-License-Identifier: Apache-2.0
"""The table itself: its file, its rows, where it comes from, what can be wrong with it. It imports
nothing of the other folders."""
