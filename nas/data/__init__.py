# SPDX-License-Identifier: Apache-2.0
"""Data sets by specification, checked, standardised and split.

    ucr:BasicMotions      a UCR/UEA archive set that comes with the aeon package
    npz:FILE              arrays x (N, T, C) or images (N, H, W, C), y (N,), and optionally split or
                          subject (N,)
    uci-har               from TINYTAILOR_DATA or a folder shared/data beside the checkout
    ts-small:GunPoint     likewise
    cifar10               likewise; cifar10:COUNT takes COUNT images of either part

Adding a source: a function in sources.py and a line in ``SOURCES``. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable

from tinytailor.nas.data.dataset import Dataset, Raw, prepare
from tinytailor.nas.data.images import from_cifar10
from tinytailor.nas.data.sources import from_aeon, from_npz, from_ts_small, from_uci_har
from tinytailor.targets.names import no_such

# How a source is written that is not just its name.
WRITTEN: dict[str, str] = {"ucr": "ucr:NAME", "npz": "npz:FILE", "ts-small": "ts-small:NAME"}
SOURCES: dict[str, Callable[[str, int], Raw]] = {
    "ucr": from_aeon,
    "npz": from_npz,
    "uci-har": from_uci_har,
    "ts-small": from_ts_small,
    "cifar10": from_cifar10,
}

__all__ = ["SOURCES", "Dataset", "load"]


def load(spec: str, seed: int, valid_fraction: float = 0.25) -> Dataset:
    """The data set ``spec``, such as ``ucr:BasicMotions``.

    ``seed`` decides the validation part (``valid_fraction`` of the training part, stratified by
    class, or whole subjects where the source names them) unless the source has one of its own.
    InputError says what is wrong with the data, ToolError which package is missing.
    """
    kind, _, name = spec.partition(":")
    if kind not in SOURCES:
        known = {source: WRITTEN.get(source, source) for source in SOURCES}
        raise no_such(f"data set {spec!r} has no known source {kind!r}", kind, known)
    return prepare(SOURCES[kind](name, seed), seed, valid_fraction)
