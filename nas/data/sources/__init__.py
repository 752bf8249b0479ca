# SPDX-License-Identifier: Apache-2.0
"""Where data come from: a file a source, a line each in ``SOURCES`` of tinytailor.nas.data.

A source takes the part of the specification after the colon and a seed, and returns a Raw.
"""

from tinytailor.nas.data.sources.npz_file import COLUMNS, digest_of_file, split_of, text_of

__all__ = ["COLUMNS", "digest_of_file", "split_of", "text_of"]
