# SPDX-License-Identifier: Apache-2.0
"""The known data sets, as they lie in shared/data: parts, groups, signals, and log-mel maps."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
import pytest

from tinytailor.nas.data import Dataset, Signal, load
from tinytailor.nas.data.log_mel import FRAMES, MELS, log_mel, mel_bands, one_second
from tinytailor.nas.data.sources.speech_commands import part_of, speaker_of
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.pure]

MOTION = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")


def counts(data: Dataset) -> tuple[int, ...]:
    """Of samples to train and to validate with, and to test."""
    return len(data.y_train) + len(data.y_valid), len(data.y_test)


def assert_folds_keep_groups_together_and_classes_apart(data: Dataset, k: int) -> None:
    rows = data.training_rows()
    folds = data.folds(k, seed=1)
    assert rows.groups is not None
    held = np.concatenate([held for _, held in folds])
    np.testing.assert_array_equal(np.sort(held), np.arange(len(rows.y)))
    for train, held in folds:
        np.testing.assert_array_equal(np.sort(np.append(train, held)), np.arange(len(rows.y)))
        assert not set(rows.groups[train]) & set(rows.groups[held])
        assert set(rows.y[train]) == set(rows.y[held]) == set(range(data.classes))


def assert_following_windows_overlap_by_half(data: Dataset) -> None:
    rows = data.training_rows()
    half = rows.x.shape[1] // 2
    assert rows.groups is not None
    for x, following, groups in (
        (rows.x, rows.following, rows.groups),
        (data.x_train, data.following, data.groups_train),
    ):
        assert following is not None
        assert groups is not None
        at = np.flatnonzero(following >= 0)
        assert len(at) > len(x) / 2
        np.testing.assert_array_equal(x[at, half:], x[following[at], :half])
        np.testing.assert_array_equal(groups[at], groups[following[at]])


def test_uci_har_is_split_by_subject_and_knows_which_windows_overlap(data_folder: Path) -> None:
    data = load("uci-har", 0)
    assert data.shape == (128, 9)
    assert counts(data) == (7352, 2947)
    assert data.protocol == "official split by subject, 21 to train and 9 to test"
    assert data.signal.kind == "inertial"
    assert data.signal.rate_hz == 50.0
    assert data.signal.triads == ((0, 1, 2), (3, 4, 5), (6, 7, 8))
    assert data.signal.dynamic == ((0, 1, 2, 6, 7, 8), (3, 4, 5))
    np.testing.assert_allclose(data.lsb[[0, 3, 6]], [1 / 8192, math.pi / 9 / 327.68, 1 / 8192])
    rows = data.training_rows()
    assert rows.following is not None
    assert (rows.following >= 0).sum() == 6752  # of the window table in hapt_raw.npz, too
    assert_following_windows_overlap_by_half(data)
    assert_folds_keep_groups_together_and_classes_apart(data, 5)


def test_hapt_has_the_windows_that_its_authors_count_and_gives_back_the_raw_samples(
    data_folder: Path,
) -> None:
    data = load("hapt", 0)
    assert data.shape == (128, 6)
    assert counts(data) == (7767, 3162)  # as its authors have them
    assert data.protocol == "official split by subject, 21 to train and 9 to test"
    _, labels = data.all_train()
    total = np.bincount(labels) + np.bincount(data.y_test)
    assert total.tolist() == [1722, 1544, 1407, 1801, 1979, 1958, 70, 33, 107, 85, 139, 84]
    assert data.signal.channels == MOTION
    assert data.signal.dynamic == ((0, 1, 2), (3, 4, 5))
    np.testing.assert_allclose(data.lsb, [1 / 720] * 3 + [math.radians(0.0175)] * 3)
    rows = data.training_rows()
    assert rows.following is not None
    assert (rows.following >= 0).sum() == 6946
    assert_following_windows_overlap_by_half(data)
    assert_folds_keep_groups_together_and_classes_apart(data, 3)
    with np.load(data_folder / "uci_har" / "hapt_raw.npz") as stored:
        raw, segment = stored["raw"], stored["labels"][0]  # a window of subject 1, to train on
    first = raw[segment[3] - 1 :][:128]
    samples = data.samples(rows.x)
    assert (samples == first).all(axis=(1, 2)).sum() == 1
    np.testing.assert_allclose(rows.x, samples * data.lsb, rtol=1e-6)


def test_heartbeats_are_split_by_patient_and_give_back_the_stored_samples(
    data_folder: Path,
) -> None:
    data = load("mitbih", 0)
    assert data.shape == (128, 2)
    assert counts(data) == (16145, 16340)
    assert data.class_names == ("N", "S", "V", "F")
    assert (data.signal.kind, data.signal.rate_hz) == ("ecg", 128.0)
    assert data.signal.lsb == (1 / 200, 1 / 200)
    assert "by patient, de Chazal DS1/DS2" in data.protocol
    with np.load(data_folder / "mitbih" / "mitbih_beats.npz") as stored:
        np.testing.assert_array_equal(data.samples(data.x_test), stored["x_test"])
        records = set(stored["record_train"])
    assert data.groups_train is not None
    assert data.groups_valid is not None
    assert set(data.groups_train) | set(data.groups_valid) == records
    assert_folds_keep_groups_together_and_classes_apart(data, 3)


def test_spoken_digits_are_maps_split_by_recording_or_by_speaker(data_folder: Path) -> None:
    data = load("fsdd", 0)
    assert data.shape == (FRAMES, MELS, 1) == (32, 24, 1)
    assert counts(data) == (2700, 300)
    assert data.class_names == tuple("0123456789")
    assert data.signal.kind == "audio"
    assert data.protocol.endswith("not by speaker: all are in both parts")
    assert -80.0 <= data.x_train.min() < data.x_train.max() < 0.0
    rows = data.training_rows()
    assert rows.groups is not None
    assert len(np.unique(rows.groups)) == 6
    by_speaker = load("fsdd:speaker", 0)
    assert counts(by_speaker) == (2000, 1000)
    assert by_speaker.protocol == "by speaker, tested with the last 2 of 6 by name"
    heard = by_speaker.training_rows().groups
    assert heard is not None
    assert set(heard) == {"george", "jackson", "lucas", "nicolas"}
    assert_folds_keep_groups_together_and_classes_apart(by_speaker, 4)
    with pytest.raises(InputError, match=r"no split 'speakers'; did you mean speaker"):
        load("fsdd:speakers", 0)


def test_the_sample_of_speech_commands_says_that_it_is_one(data_folder: Path) -> None:
    data = load("speech-commands", 0)
    assert data.shape == (FRAMES, MELS, 1)
    assert data.classes == 30
    assert sum(counts(data)) == 300
    assert data.protocol.startswith("a sample of 10 recordings a word, too small to learn from")
    assert data.groups_train is not None
    assert data.groups_valid is not None
    assert not set(data.groups_train) & set(data.groups_valid)


@pytest.mark.parametrize(
    ("spec", "signal", "shape", "parts"),
    [
        (
            "ts-small:BasicMotions",
            Signal("inertial", MOTION, rate_hz=10.0, triads=((0, 1, 2), (3, 4, 5))),
            (100, 6),
            (40, 40),
        ),
        ("ts-small:JapaneseVowels", Signal("series"), (25, 12), (270, 370)),
        ("ts-small:GunPoint", Signal("series", ("hand_x",)), (150, 1), (50, 150)),
        ("ts-small:ArrowHead", Signal(), (251, 1), (36, 175)),
    ],
)
def test_sets_of_the_archive_are_described_where_something_is_known(
    data_folder: Path,
    spec: str,
    signal: Signal,
    shape: tuple[int, ...],
    parts: tuple[int, int],
) -> None:
    data = load(spec, 0)
    assert (data.shape, counts(data)) == (shape, parts)
    assert (data.signal.kind, data.signal.rate_hz) == (signal.kind, signal.rate_hz)
    assert data.signal.triads == data.signal.dynamic == signal.triads
    assert data.protocol == "the archive's own train and test part"
    assert len(data.signal.channels) in (0, shape[-1])
    assert np.abs(data.samples(data.all_train()[0]).astype(int)).max() <= 2**14


def test_ucr_and_uea_are_the_same_archive() -> None:
    pytest.importorskip("aeon")
    ucr, uea = load("ucr:BasicMotions", 0), load("uea:BasicMotions", 0)
    np.testing.assert_array_equal(ucr.x_train, uea.x_train)
    assert ucr.signal == uea.signal
    assert uea.signal.kind == "inertial"
    assert uea.folds(5, 0)[0][0].shape == (32,)  # nobody is known, so by class
    with pytest.raises(InputError, match=r"uea:BasicMotion does not come with aeon.*BasicMotions"):
        load("uea:BasicMotion", 0)


def test_cifar_10_is_an_image_of_bytes(data_folder: Path) -> None:
    pytest.importorskip("PIL")
    data = load("cifar10:100", 0)
    assert data.shape == (32, 32, 3)
    assert data.signal == Signal("photo", ("red", "green", "blue"), lsb=(1.0, 1.0, 1.0))
    assert data.protocol == "official split, the first 10 of each class of either part"
    np.testing.assert_array_equal(data.samples(data.x_test), data.x_test)


@pytest.mark.parametrize("spec", ["uci-har:train", "hapt:6", "mitbih:MLII"])
def test_a_set_without_parts_to_choose_from_takes_no_name(spec: str) -> None:
    kind = spec.partition(":")[0]
    with pytest.raises(InputError, match=f"data set {spec}: {kind} is one set; write {kind} alone"):
        load(spec, 0)


@pytest.mark.parametrize("spec", ["hapt", "mitbih", "fsdd", "speech-commands"])
def test_a_file_that_is_not_what_its_name_says_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    for name in (
        *("uci_har/hapt_raw.npz", "mitbih/mitbih_beats.npz"),
        *("speech/fsdd.npz", "speech/speech_commands_300.npz"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.savez(tmp_path / name, other=np.zeros(1))
    monkeypatch.setenv("TINYTAILOR_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"\.npz has no array \w+; it has: other"):
        load(spec, 0)


def test_a_log_mel_map_is_what_its_formula_says() -> None:
    """Sums written out, for one frame and one band in the middle, at either rate."""
    rng = np.random.default_rng(0)
    for rate in (8000, 16000):
        size, start = 32 * rate // 1000, 3 * 31 * rate // 1000
        pcm = rng.integers(-9000, 9000, (1, rate)).astype(np.int16)
        i = np.arange(size)
        hann = (1 - np.cos(2 * np.pi * i / size)) / 2
        s = pcm[0, start : start + size] / 32768
        top = 2595 * math.log10(1 + rate / 1400)
        low, middle, high = (700 * (10 ** (top * b / 25 / 2595) - 1) for b in (11, 12, 13))
        band = 0.0
        for k in range(size // 2 + 1):
            spectrum = (hann * s * np.exp(-2j * np.pi * k * i / size)).sum()
            f = k * rate / size
            triangle = max(0.0, min((f - low) / (middle - low), (high - f) / (high - middle)))
            band += triangle * abs(spectrum) ** 2 / hann.sum() ** 2
        np.testing.assert_allclose(log_mel(pcm, rate)[0, 3, 11, 0], 10 * math.log10(band), 1e-5)


def test_silence_is_the_floor_and_a_tone_is_loudest_in_its_band() -> None:
    t = np.arange(8000) / 8000
    tone = (16384 * np.sin(2 * np.pi * 1000 * t)).astype(np.int16)
    maps = log_mel(one_second([tone, np.zeros(9000, np.int16), tone[:100]], 8000), 8000)
    assert maps.shape == (3, 32, 24, 1)
    assert maps.dtype == np.float32
    bands = mel_bands(8000, 256)
    assert (maps[0, :, :, 0].argmax(axis=1) == bands[32].argmax()).all()  # 1000 Hz = 32 / 256
    assert (maps[1] == -80.0).all()
    assert (maps[2, 1:] == -80.0).all()
    assert maps[2, 0].max() > -80.0


# ------------------------------------------------------------------- Speech Commands, a folder


def write_wav(path: Path, pcm: np.ndarray, rate: int = 16000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.astype("<i2").tobytes())


# Of the lists that are published with Speech Commands.
TESTED = ("bb05582b", "97f4c236", "f2e59fea", "fdb5155e", "dc75148d", "3f170018", "893705bb")
VALIDATED = ("a69b9b3e", "026290a7")
TRAINED = ("0a7c2a8d", "0137b3f4", "01bcfc0c", "62581901", "708a9569")


def speech_folder(folder: Path) -> str:
    rng = np.random.default_rng(0)
    for word in ("yes", "no"):
        for speaker in (*TESTED, *VALIDATED, *TRAINED):
            pcm = rng.integers(-2000, 2000, 15000)
            write_wav(folder / word / f"{speaker}_nohash_0.wav", pcm)
    write_wav(folder / "_background_noise_" / "hum.wav", np.zeros(99999))
    return f"speech-commands:{folder}"


def test_speakers_are_in_the_part_that_the_published_lists_have_them_in() -> None:
    assert speaker_of("right/bb05582b_nohash_3.wav") == "bb05582b"
    assert {part_of(speaker) for speaker in TESTED} == {"test"}
    assert part_of("a69b9b3e") == "valid"


def test_a_folder_of_words_is_split_by_the_hash_of_the_speaker(tmp_path: Path) -> None:
    data = load(speech_folder(tmp_path), 0)
    assert data.class_names == ("no", "yes")
    assert (len(data.y_train), len(data.y_valid), len(data.y_test)) == (10, 4, 14)
    assert data.groups_valid is not None
    assert set(data.groups_valid) == set(VALIDATED)
    assert data.protocol.startswith("by speaker, by the hash of Warden 2018")
    assert data.digest


def test_lists_of_the_folder_come_before_the_hash(tmp_path: Path) -> None:
    spec = speech_folder(tmp_path)
    lines = [f"{word}/{speaker}_nohash_0.wav" for word in ("yes", "no") for speaker in TRAINED[:2]]
    (tmp_path / "testing_list.txt").write_text("\n".join(lines) + "\n")
    data = load(spec, 0)
    assert counts(data) == (24, 4)
    assert data.protocol.startswith("by the lists of the folder")
    (tmp_path / "testing_list.txt").write_text("yes/nobody_nohash_0.wav\n")
    with pytest.raises(InputError, match=r"testing_list\.txt lists yes/nobody_nohash_0\.wav"):
        load(spec, 0)
    (tmp_path / "testing_list.txt").write_text(lines[0])
    with pytest.raises(InputError, match="speaker 0a7c2a8d is in the training and in the test"):
        load(spec, 0)


def test_a_wav_file_of_another_kind_is_named(tmp_path: Path) -> None:
    spec = speech_folder(tmp_path)
    path = tmp_path / "yes" / "zz_nohash_0.wav"
    write_wav(path, np.zeros(8000), rate=8000)
    with pytest.raises(InputError, match=r"zz_nohash_0\.wav has 1 channels of 16 bits at 8000 Hz"):
        load(spec, 0)
    path.write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"cannot read .*zz_nohash_0\.wav as a WAV file"):
        load(spec, 0)
    with pytest.raises(InputError, match="there is no such folder"):
        load(f"speech-commands:{tmp_path / 'none'}", 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no WAV files in a sub-folder for each word"):
        load(f"speech-commands:{tmp_path / 'empty'}", 0)


def test_a_folder_in_which_nobody_is_tested_is_refused(tmp_path: Path) -> None:
    for word in ("yes", "no"):
        write_wav(tmp_path / word / f"{TRAINED[0]}_nohash_0.wav", np.zeros(16000))
    with pytest.raises(InputError, match="none of 2 recordings is in the test part"):
        load(f"speech-commands:{tmp_path}", 0)


# ------------------------------------------------------------------------------------- the page


def test_the_page_shows_what_is_read(repository: Path, data_folder: Path) -> None:
    pytest.importorskip("aeon")
    page = (repository / "docs" / "own-data.md").read_text().split("## Known data sets")[1]
    rows = [line.strip("|").split("|") for line in page.split("\n## ")[0].split("\n| `")[2:]]
    assert len(rows) == 9
    for spec, *said in [[cell.strip().strip("`") for cell in row] for row in rows]:
        data = load(spec.strip("`"), 0)
        shape, parts = " x ".join(map(str, data.shape)), ", ".join(map(str, counts(data)))
        assert said[:4] == [data.signal.kind, shape, parts, data.protocol], spec
