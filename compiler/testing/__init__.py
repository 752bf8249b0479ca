# SPDX-License-Identifier: Apache-2.0
"""What every operator must do, as checks that a new one is put through with one line."""
