# SPDX-License-Identifier: Apache-2.0
"""Speech Commands (Warden 2018, arXiv 1804.03209): words of one second at 16 kHz, as log-mel maps.

    FOLDER/WORD/SPEAKER_nohash_N.wav       mono, 16 bits; folders that begin with _ hold no words
    FOLDER/testing_list.txt, validation_list.txt      lines WORD/FILE.wav; or, without both,
    the part of a speaker by the hash of the name, 10 % to validate and 10 % to test:
        p = 100 (SHA1(SPEAKER) mod 2^27) / (2^27 - 1);  p < 10: valid;  p < 20: test;  else train

``speech-commands`` without a folder is a sample of ten recordings a word, in one file.
"""

from __future__ import annotations

import hashlib
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinytailor.compiler.training_record import digest_of
from tinytailor.nas.data.dataset import Raw
from tinytailor.nas.data.log_mel import SIGNAL, log_mel, one_second
from tinytailor.nas.data.sources.files import data_file, known_arrays
from tinytailor.targets.errors import InputError

RATE = 16000
SAMPLE = "speech_commands_300.npz"
LISTS = {"test": "testing_list.txt", "valid": "validation_list.txt"}
AT_A_TIME = 1024  # recordings: a second of 1000 takes 32 MB
MODULUS = 2**27
BY_HASH = "by speaker, by the hash of Warden 2018: 10 % to validate and 10 % to test"
BY_LISTS = "by the lists of the folder, testing_list.txt and validation_list.txt"


def from_speech_commands(name: str, seed: int) -> Raw:
    """Maps (32, 24, 1); ``name`` is the folder, or empty for the sample."""
    if name:
        return _from_folder(Path(name))
    path = data_file("speech-commands", f"speech/{SAMPLE}", SAMPLE)
    arrays = known_arrays(path, "x", "name")
    files = [str(file) for file in arrays["name"]]
    parts = np.array([part_of(speaker_of(file)) for file in files])
    protocol = f"a sample of 10 recordings a word, too small to learn from, {BY_HASH}"
    return _raw(path, log_mel(arrays["x"], RATE), files, parts, protocol, "")


def speaker_of(file: str) -> str:
    """Whatever stands before _nohash_ in the name of the file."""
    return file.rsplit("/", 1)[-1].partition("_nohash_")[0]


def part_of(speaker: str) -> str:
    percent = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % MODULUS * (100 / (MODULUS - 1))
    return "valid" if percent < 10 else "test" if percent < 20 else "train"


def _raw(
    path: Path, x: np.ndarray, files: Sequence[str], parts: np.ndarray, protocol: str, digest: str
) -> Raw:
    words = np.array([file.split("/")[0] for file in files])
    speakers = np.array([speaker_of(file) for file in files])
    train, valid, test = (parts == part for part in ("train", "valid", "test"))
    for part, rows in (("train", train), ("test", test)):
        if not rows.any():
            raise InputError(
                f"{path}: none of {len(files)} recordings is in the {part} part, {protocol}; "
                "expected some: add recordings, or lists"
            )
    own = bool(valid.any())
    return Raw(
        "speech-commands",
        str(path),
        x[train],
        words[train],
        x[test],
        words[test],
        x[valid] if own else None,
        words[valid] if own else None,
        digest=digest,
        signal=SIGNAL,
        protocol=protocol,
        groups_train=speakers[train],
        groups_valid=speakers[valid] if own else None,
        groups_test=speakers[test],
        group="speaker",
    )


def _from_folder(folder: Path) -> Raw:
    if not folder.is_dir():
        raise InputError(f"data set speech-commands:{folder}: there is no such folder")
    words = sorted(one for one in folder.iterdir() if one.is_dir() and one.name[0] not in "_.")
    files = [f"{one.name}/{file.name}" for one in words for file in sorted(one.glob("*.wav"))]
    if not files:
        raise InputError(
            f"data set speech-commands:{folder} holds no WAV files in a sub-folder for each word"
        )
    listed = {part: folder / name for part, name in LISTS.items() if (folder / name).is_file()}
    if listed:
        parts, protocol = _listed(folder, files, listed), BY_LISTS
    else:
        parts, protocol = np.array([part_of(speaker_of(file)) for file in files]), BY_HASH
    chunks = [files[i : i + AT_A_TIME] for i in range(0, len(files), AT_A_TIME)]
    maps = [log_mel(one_second((read_wav(folder / f) for f in c), RATE), RATE) for c in chunks]
    x = np.concatenate(maps)
    return _raw(folder, x, files, parts, protocol, digest_of([x, np.array(files), parts]))


def _listed(folder: Path, files: Sequence[str], listed: dict[str, Path]) -> np.ndarray:
    """The part of each file; InputError for a line of a list that names no file."""
    place = {file: index for index, file in enumerate(files)}
    parts = np.full(len(files), "train")
    for part, path in listed.items():
        for line in path.read_text("utf-8", "replace").split("\n"):
            name = line.strip()
            if name and name not in place:
                raise InputError(f"{path} lists {name}, which is not in {folder}; remove the line")
            if name:
                parts[place[name]] = part
    return parts


def read_wav(path: Path) -> np.ndarray:
    """The samples (N,) int16 of a file; InputError unless it is mono, of 16 bits, at 16 kHz."""
    try:
        with wave.open(str(path), "rb") as file:
            got = (file.getnchannels(), 8 * file.getsampwidth(), file.getframerate())
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError, OSError) as error:
        reason = str(error) or "it ends early"
        raise InputError(f"cannot read {path} as a WAV file: {reason}") from None
    if got != (1, 16, RATE):
        raise InputError(
            f"{path} has {got[0]} channels of {got[1]} bits at {got[2]} Hz, expected 1 channel of "
            f"16 bits at {RATE} Hz; convert it first"
        )
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2")
