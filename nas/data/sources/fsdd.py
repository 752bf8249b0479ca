# SPDX-License-Identifier: Apache-2.0
"""The Free Spoken Digit Dataset (Jackson et al. 2018): 10 digits, 6 speakers, 50 recordings each at
8 kHz, as log-mel maps of their first second.

    fsdd            the official split: recordings 0 to 4 of each digit and speaker are tested, so
                    that every speaker is in both parts
    fsdd:speaker    the last speakers by name are tested, who are not trained on
"""

from __future__ import annotations

import numpy as np

from tinytailor.nas.data.dataset import Raw
from tinytailor.nas.data.log_mel import SIGNAL, log_mel, one_second
from tinytailor.nas.data.sources.files import TEST_FRACTION, data_file, known_arrays
from tinytailor.targets.names import no_such

OFFICIAL_TEST = 5  # recordings
SPLITS = {"": "fsdd", "speaker": "fsdd:speaker"}
KEYS = ("pcm", "offset", "digit", "speaker", "index", "rate")


def from_fsdd(name: str, seed: int) -> Raw:
    """Maps (32, 24, 1) of the digits 0..9."""
    if name not in SPLITS:
        raise no_such(f"data set fsdd has no split {name!r}", name, SPLITS)
    path = data_file("fsdd", "speech/fsdd.npz")
    arrays = known_arrays(path, *KEYS)
    rate = int(arrays["rate"])
    pcm = one_second(np.split(arrays["pcm"], arrays["offset"][1:-1]), rate)
    x, y, speakers = log_mel(pcm, rate), arrays["digit"], arrays["speaker"]
    if name == "speaker":
        people = np.unique(speakers)
        count = int(TEST_FRACTION * len(people) + 0.5)
        test = np.isin(speakers, people[-count:])
        protocol = f"by speaker, tested with the last {count} of {len(people)} by name"
    else:
        test = arrays["index"] < OFFICIAL_TEST
        protocol = (
            f"official split by recording, the first {OFFICIAL_TEST} of each digit and speaker to "
            "test; not by speaker: all are in both parts"
        )
    return Raw(
        SPLITS[name].replace(":", "-"),
        str(path),
        x[~test],
        y[~test],
        x[test],
        y[test],
        class_names=tuple(map(str, range(10))),
        signal=SIGNAL,
        protocol=protocol,
        groups_train=speakers[~test],
        groups_test=speakers[test],
        group="speaker",
        by_group=name == "speaker",
    )
