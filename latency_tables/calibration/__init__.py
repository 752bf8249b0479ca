# SPDX-License-Identifier: Apache-2.0
"""Constants of a board from a few measured latencies."""
