# SPDX-License-Identifier: Apache-2.0
"""Puts this folder on the path of the tests below it, which build on its networks."""
