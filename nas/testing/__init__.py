# SPDX-License-Identifier: Apache-2.0
"""What every kind of layer, space, quantizer and search algorithm must do, as checks that a new one
is put through with one line."""
