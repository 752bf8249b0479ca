# SPDX-License-Identifier: Apache-2.0
"""What operators say about themselves besides their meaning: records, and sums that they share."""
