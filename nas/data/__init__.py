# SPDX-License-Identifier: Apache-2.0
"""Data sets by specification, checked, described and split.

    npz:FILE              arrays x (N, T, C) or images (N, H, W, C), y (N,), see sources/npz_file.py
    folder:PATH           images in a sub-folder a class
    ucr:BasicMotions      a set of the UCR/UEA archive that comes with the aeon package; or uea:
    uci-har, hapt         these and those below lie in TINYTAILOR_DATA, or in a folder shared/data
    mitbih                beside the checkout
    fsdd                  spoken digits; fsdd:speaker tests with speakers who are not trained on
    speech-commands       a sample; speech-commands:FOLDER is the whole
    ts-small:GunPoint     sets of the archive
    cifar10               cifar10:COUNT takes COUNT images of either part

Adding a source: a file in sources/ and a line in ``SOURCES``. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable

from tinytailor.nas.data.dataset import Dataset, Raw, TrainingRows, prepare
from tinytailor.nas.data.signal import Signal, default_lsb
from tinytailor.nas.data.sources.archive import from_ts_small, from_ucr, from_uea
from tinytailor.nas.data.sources.cifar10 import from_cifar10
from tinytailor.nas.data.sources.fsdd import from_fsdd
from tinytailor.nas.data.sources.hapt import from_hapt
from tinytailor.nas.data.sources.image_folder import from_image_folder
from tinytailor.nas.data.sources.mitbih import from_mitbih
from tinytailor.nas.data.sources.npz_file import from_npz
from tinytailor.nas.data.sources.speech_commands import from_speech_commands
from tinytailor.nas.data.sources.uci_har import from_uci_har
from tinytailor.targets.names import no_such

# How a source is written that is not just its name.
WRITTEN: dict[str, str] = {
    "ucr": "ucr:NAME",
    "uea": "uea:NAME",
    "npz": "npz:FILE",
    "folder": "folder:PATH",
    "ts-small": "ts-small:NAME",
}
SOURCES: dict[str, Callable[[str, int], Raw]] = {
    "ucr": from_ucr,
    "uea": from_uea,
    "npz": from_npz,
    "folder": from_image_folder,
    "uci-har": from_uci_har,
    "hapt": from_hapt,
    "mitbih": from_mitbih,
    "fsdd": from_fsdd,
    "speech-commands": from_speech_commands,
    "ts-small": from_ts_small,
    "cifar10": from_cifar10,
}

__all__ = ["SOURCES", "Dataset", "Signal", "TrainingRows", "default_lsb", "load"]


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
