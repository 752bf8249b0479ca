# SPDX-License-Identifier: Apache-2.0
"""What a data set says of its numbers and rows: signal, steps, groups, folds, following windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinytailor.nas.data import Dataset, Signal, TrainingRows, default_lsb, load
from tinytailor.nas.data.dataset import Raw, prepare
from tinytailor.nas.data.following import half_overlaps, reindexed
from tinytailor.nas.data.signal import check_signal, inertial, named_triads
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.pure]


def arrays(count: int = 24, channels: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(3.0, 2.0, (count, 20, channels)), "y": np.arange(count) % 2}


def loaded(folder: Path, **given: Any) -> Dataset:
    np.savez(folder / "own.npz", **given)
    return load(f"npz:{folder / 'own.npz'}", 0)


# ------------------------------------------------------------------------------ npz:FILE, signal


def test_without_a_word_series_and_images_are_told_by_their_rank(tmp_path: Path) -> None:
    assert loaded(tmp_path, **arrays()).signal == Signal("series")
    images = np.zeros((8, 6, 5, 1), np.uint8)
    images[::2] = 200
    data = loaded(tmp_path, x=images, y=np.arange(8) % 2)
    assert data.signal == Signal("image", lsb=(1.0,))


def test_a_file_may_describe_its_signal(tmp_path: Path) -> None:
    data = loaded(
        tmp_path,
        **arrays(channels=6),
        kind="inertial",
        lsb=0.001,
        rate=np.float32(50),
        channels=["Acc X", "Acc Y", "Acc Z", "gyro.x", "gyro.y", "gyro.z"],
    )
    assert data.signal.kind == "inertial"
    assert data.signal.lsb == (0.001,) * 6
    assert data.signal.rate_hz == 50.0
    assert data.signal.triads == ((0, 1, 2), (3, 4, 5))
    assert data.signal.dynamic == ((0, 1, 2), (3, 4, 5))
    np.testing.assert_array_equal(data.samples(data.x_test), np.rint(data.x_test / 0.001))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"kind": "inertal"}, "kind is 'inertal'; did you mean inertial"),
        ({"kind": ["audio", "ecg"]}, "array kind holds 2 words, expected one of inertial"),
        ({"kind": 3}, r"array kind is int64 of shape \(\), expected text: one of inertial"),
        (
            {"kind": "image"},
            r"kind is 'image' and the samples are of rank 3 .*expected \(image, row",
        ),
        ({"lsb": [1.0, 2.0]}, "lsb has 2 entries, expected 3: one a channel"),
        ({"lsb": "small"}, "array lsb is <U5 of shape .*expected a number, or one a channel"),
        ({"lsb": [1.0, 0.0, 1.0]}, "lsb of channel 1 is 0.0, expected a number above 0"),
        ({"lsb": [1.0, np.nan, 1.0], "channels": list("abc")}, "lsb of channel 'b' is nan"),
        ({"rate": 0}, "rate is 0.0, expected a number above 0"),
        ({"rate": [50, 50]}, "array rate holds 2 numbers, expected one"),
        ({"rate": True}, r"array rate is bool of shape \(\), expected a number"),
        ({"channels": ["a", "b"]}, "channels has 2 entries, expected 3: one a channel"),
        ({"channels": ["a", "b", "a"]}, "array channels has 'a' twice"),
        ({"channels": np.zeros(3)}, r"array channels is float64 of shape \(3,\), expected text"),
        ({"lsb": 0.0001}, r"holds [\d.]+ at \[series, time, channel\] = .*beyond 16 bits"),
    ],
)
def test_a_wrong_description_is_refused_in_one_sentence(
    tmp_path: Path, given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        loaded(tmp_path, **arrays(), **given)


def test_channels_of_another_number_or_twice_in_a_triad_are_refused() -> None:
    with pytest.raises(InputError, match=r"place: the channels \(0, 1, 3\) belong together"):
        check_signal("place", Signal("inertial", triads=((0, 1, 3),)), (8, 20, 3))
    with pytest.raises(InputError, match=r"the channels \(1, 1\) belong together"):
        check_signal("place", Signal("inertial", dynamic=((1, 1),)), (8, 20, 3))
    with pytest.raises(InputError, match="units has 1 entries, expected 3"):
        check_signal("place", Signal(units=("g",)), (8, 20, 3))


def test_triads_are_three_channels_of_one_name() -> None:
    assert named_triads(["z_acc", "acc_z", "acc_x", "acc_y"]) == ((2, 3, 1),)
    assert named_triads(["max", "acc_x", "acc_y"]) == ()
    assert inertial(["linear_x", "linear_y", "linear_z"]).dynamic == ((0, 1, 2),)
    assert inertial(["acc_x", "acc_y"]).dynamic == ()


# ------------------------------------------------------------------------------- steps, samples


def test_integers_of_16_bits_are_samples_and_wider_ones_are_named(tmp_path: Path) -> None:
    given = arrays()
    given["x"] = np.rint(given["x"] * 1000).astype(np.int32)
    data = loaded(tmp_path, **given)
    assert data.signal.lsb == (1.0, 1.0, 1.0)
    np.testing.assert_array_equal(data.samples(data.x_train), data.x_train)
    given["x"][5, 7, 1] = 40000
    with pytest.raises(
        InputError, match=r"holds 40000 .*, 7, 1\], in channel 1, .* a step 2 times as large"
    ):
        loaded(tmp_path, **given)
    with pytest.raises(InputError, match="in channel 'b', which"):
        loaded(tmp_path, **given, channels=list("abc"))
    assert loaded(tmp_path, **given, lsb=2).signal.lsb == (2.0, 2.0, 2.0)


def test_wide_pixels_are_no_samples_but_are_taken(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 65536, (8, 6, 5, 1)).astype(np.uint16)
    data = loaded(tmp_path, x=x, y=np.arange(8) % 2)
    assert data.signal.lsb is None
    assert data.lsb.tolist() == [4.0]


def test_the_ends_of_16_bits_fit_and_half_a_step_beyond_does_not(tmp_path: Path) -> None:
    given = arrays()
    given["x"][3, 4, 2], given["x"][3, 5, 2] = -32768.4, 32767.4
    loaded(tmp_path, **given, lsb=1.0)
    given["x"][3, 5, 2] = 32767.6
    with pytest.raises(InputError, match=r"the sample 32768 and beyond 16 bits"):
        loaded(tmp_path, **given, lsb=1.0)


@pytest.mark.parametrize(
    ("most", "lsb"),
    [
        (32767 / 2, 1.0),
        (-32767 / 2, 1.0),
        (32767 / 2 * 1.0001, 2.0),
        (32767 / 2 / 1.0001, 1.0),
        (1.0, 2.0**-13),
        (0.0, 1.0),
    ],
)
def test_steps_that_are_not_known_are_powers_of_two_with_room_for_twice_the_largest(
    most: float, lsb: float
) -> None:
    x = np.zeros((4, 5, 2))
    x[2, 3, 0] = most
    assert default_lsb(x).tolist() == [lsb, 1.0]
    assert default_lsb(np.zeros((3, 5, 2)), x).tolist() == [lsb, 1.0]


def test_values_beyond_steps_that_were_chosen_are_saturated() -> None:
    x = np.linspace(-1, 1, 8 * 4).reshape(8, 4, 1)
    y = np.arange(8) % 2
    data = prepare(Raw("d", "d", x, y, 100 * x, y), 0, 0.25)
    assert data.signal.lsb is None
    data.check_samples_fit()
    assert data.lsb.tolist() == [2.0**-13]
    assert (data.samples(data.x_test).min(), data.samples(data.x_test).max()) == (-32768, 32767)
    assert np.abs(data.samples(data.all_train()[0])).max() == 8192


# --------------------------------------------------------------------------------------- groups


def test_a_subject_in_both_parts_is_refused_and_named(tmp_path: Path) -> None:
    given = arrays()
    subject = np.repeat(np.arange(8), 3)
    split = np.where(subject < 6, "train", "test")
    data = loaded(tmp_path, **given, subject=subject, split=split)
    assert data.protocol == "the file's own parts, array split, which are by subject"
    split[0] = "test"
    with pytest.raises(InputError, match="subject 0 is in the training and in the test part"):
        loaded(tmp_path, **given, subject=subject, split=split)
    split[3:5] = "valid", "test"
    with pytest.raises(InputError, match="subject 0 and 1 more is in the training and"):
        loaded(tmp_path, **given, subject=subject, split=split)


def test_what_is_split_is_said(tmp_path: Path) -> None:
    given = arrays()
    assert loaded(tmp_path, **given).protocol == "a seeded split by class, 30 % to test"
    alone = loaded(tmp_path, **given, subject=np.zeros(24, int))
    assert alone.protocol == "a seeded split by class, 30 % to test"
    assert alone.groups_train is None
    people = loaded(tmp_path, **given, subject=np.repeat(np.arange(8), 3))
    assert people.protocol == "a seeded split by subject, 2 of 8 to test"
    given["x"][1::2, :10] = given["x"][::2, 10:]
    given["y"] = np.arange(24) // 2 % 2
    overlapping = loaded(tmp_path, **given)
    assert overlapping.protocol.endswith("; windows that overlap are in both parts")


def test_groups_of_another_number_are_refused() -> None:
    x, y = arrays()["x"], arrays()["y"]
    with pytest.raises(InputError, match=r"d: array record \(train part\) has shape \(3,\)"):
        prepare(Raw("d", "d", x, y, x, y, groups_train=np.zeros(3), group="record"), 0, 0.25)


def test_folds_by_class_hold_out_every_row_once_and_every_class_each_time() -> None:
    y = np.repeat([0, 1, 2], [50, 7, 5])
    x = np.random.default_rng(0).normal(size=(62, 4, 1))
    data = prepare(Raw("d", "d", x, y, x, y), 0, 0.25)
    folds = data.folds(5, seed=3)
    labels = data.training_rows().y
    assert sorted(len(held) for _, held in folds) == [12, 12, 12, 13, 13]
    for train, held in folds:
        assert set(labels[train]) == set(labels[held]) == {0, 1, 2}
    again, other = data.folds(5, seed=3), data.folds(5, seed=4)
    assert all((a == b).all() for (_, a), (_, b) in zip(folds, again, strict=True))
    assert any(
        len(a) != len(b) or (a != b).any() for (_, a), (_, b) in zip(folds, other, strict=True)
    )


def test_folds_by_group_find_the_way_in_which_each_holds_out_every_class() -> None:
    """Class 1 has rows in three of twelve groups, of very different sizes."""
    groups = np.repeat(np.arange(12), np.arange(1, 13) * 4)
    y = np.where((np.isin(groups, [0, 5, 11])) & (np.arange(len(groups)) % 2 == 0), 1, 0)
    x = np.random.default_rng(0).normal(size=(len(y), 4, 1))
    data = prepare(Raw("d", "d", x, y, x, y, groups_train=groups), 0, 0.25)
    for seed in range(5):
        rows, folds = data.training_rows(), data.folds(3, seed)
        assert rows.groups is not None
        for train, held in folds:
            assert not set(rows.groups[train]) & set(rows.groups[held])
            assert set(rows.y[train]) == set(rows.y[held]) == {0, 1}
            assert len(held) < len(y) / 2


def test_folds_that_cannot_be_are_refused_in_one_sentence() -> None:
    y = np.repeat([0, 1], [8, 8])
    groups = np.repeat(np.arange(4), 4)
    groups[8:] = 9  # class 1 is of one person
    x = np.random.default_rng(0).normal(size=(16, 4, 1))
    names = ("rest", "walk")
    raw = Raw("d", "d", x, y, x, y, class_names=names, groups_train=groups, by_group=False)
    data = prepare(raw, 0, 0.25)
    with pytest.raises(InputError, match="d: class 'walk' would not be trained on in fold"):
        data.folds(2, 0)
    with pytest.raises(InputError, match="4 folds of 3 groups in the training part; expected 2 to"):
        data.folds(4, 0)
    plain = prepare(Raw("d", "d", x, y, x, y), 0, 0.25)
    with pytest.raises(InputError, match="1 folds of 16 training rows; expected 2 to 16 folds"):
        plain.folds(1, 0)


# ---------------------------------------------------------------------------- following windows


def windows(recordings: int = 3, each: int = 5, size: int = 8) -> np.ndarray:
    """(recordings * each, size, 2), every one overlapping the one before it by half."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(recordings, size // 2 * (each + 1), 2))
    starts = range(0, each * size // 2, size // 2)
    return np.concatenate([[one[s : s + size] for s in starts] for one in signal])


def test_windows_follow_within_a_recording_and_not_beyond() -> None:
    x = windows()
    following = half_overlaps(x)
    assert following is not None
    assert following.tolist() == [1, 2, 3, 4, -1, 6, 7, 8, 9, -1, 11, 12, 13, 14, -1]
    apart = half_overlaps(x, np.repeat([0, 1], [2, 13]))
    assert apart is not None
    assert apart[:4].tolist() == [1, -1, 3, 4]
    assert half_overlaps(x[::2]) is None
    assert half_overlaps(x[:, :7]) is None


def test_rows_that_are_taken_are_numbered_anew() -> None:
    following = np.array([1, 2, -1, 4, -1])
    moved = reindexed(following, np.array([3, 4, 0, 2, 1]))
    assert moved is not None
    assert moved.tolist() == [1, -1, 4, -1, 3]
    fewer = TrainingRows(np.zeros((5, 4, 1)), np.arange(5), None, following).take(np.array([1, 2]))
    assert fewer.following is not None
    assert fewer.following.tolist() == [1, -1]
    assert reindexed(None, np.arange(3)) is None


def test_windows_follow_across_the_validation_part_only_in_all_training_rows() -> None:
    x = windows(6, 10)
    y = np.repeat(np.arange(6) % 2, 10)
    data = prepare(Raw("d", "d", x, y, x, y, following=half_overlaps(x)), 0, 0.25)
    rows = data.training_rows()
    assert rows.following is not None
    assert data.following is not None
    assert (rows.following >= 0).sum() == 54
    at = np.flatnonzero(rows.following >= 0)
    np.testing.assert_array_equal(rows.x[at, 4:], rows.x[rows.following[at], :4])
    known = np.flatnonzero(data.following >= 0)
    assert 0 < len(known) < 54
    np.testing.assert_array_equal(data.x_train[known, 4:], data.x_train[data.following[known], :4])


def test_a_validation_part_of_its_own_has_no_following_windows(tmp_path: Path) -> None:
    x = windows(6, 10)
    split = np.repeat(["train", "train", "train", "valid", "test", "test"], 10)
    data = loaded(tmp_path, x=x, y=np.repeat(np.arange(6) % 2, 10), split=split)
    rows = data.training_rows()
    assert rows.following is not None
    assert (rows.following >= 0).sum() == 27
    assert (rows.following[30:] == -1).all()


# --------------------------------------------------------------------------- folder:PATH, images


def image_folder(folder: Path, size: tuple[int, int] = (6, 5), mode: str = "L") -> None:
    image = pytest.importorskip("PIL.Image")
    for value, label in enumerate(("cat", "dog")):
        (folder / label).mkdir(parents=True)
        for i in range(6):
            suffix = ("png", "jpg", "JPEG")[i % 3]
            image.new(mode, size, 100 * value + 10 * i).save(folder / label / f"{i}.{suffix}")
        (folder / label / "notes.txt").write_text("no image")


def test_images_in_a_folder_a_class_are_read_in_grey_or_colour(tmp_path: Path) -> None:
    image_folder(tmp_path)
    data = load(f"folder:{tmp_path}", 0)
    assert data.shape == (5, 6, 1)  # rows, columns
    assert data.class_names == ("cat", "dog")
    assert (len(data.y_train) + len(data.y_valid), len(data.y_test)) == (8, 4)
    assert data.signal == Signal("image", ("grey",), lsb=(1.0,))
    assert data.protocol == "a seeded split by class, 30 % to test"
    assert data.x_test[data.y_test == 1].min() >= 98
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (6, 5), (255, 0, 0)).save(tmp_path / "cat" / "red.png")
    coloured = load(f"folder:{tmp_path}", 0)
    assert coloured.shape == (5, 6, 3)
    assert coloured.digest != data.digest


def test_folders_train_and_test_are_parts(tmp_path: Path) -> None:
    image_folder(tmp_path / "train")
    image_folder(tmp_path / "test")
    data = load(f"folder:{tmp_path}", 0)
    assert (len(data.y_train) + len(data.y_valid), len(data.y_test)) == (12, 12)
    assert data.protocol == "the folder's own parts: train, test"
    (tmp_path / "test").rename(tmp_path / "valid")
    data = load(f"folder:{tmp_path}", 0)
    assert (len(data.y_train), len(data.y_valid), len(data.y_test)) == (8, 12, 4)


def test_a_folder_that_cannot_be_read_is_refused_with_the_file(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    with pytest.raises(InputError, match="there is no such folder"):
        load(f"folder:{tmp_path / 'none'}", 0)
    with pytest.raises(InputError, match="holds no sub-folders, expected one for each class"):
        load(f"folder:{tmp_path}", 0)
    image_folder(tmp_path)
    image.new("L", (7, 5)).save(tmp_path / "dog" / "9.png")
    with pytest.raises(InputError, match=r"9\.png has 7 x 5 pixels and .*0\.png 6 x 5"):
        load(f"folder:{tmp_path}", 0)
    (tmp_path / "dog" / "9.png").write_bytes(b"not an image")
    with pytest.raises(InputError, match=r"9\.png is no image that can be read"):
        load(f"folder:{tmp_path}", 0)
    image.new("F", (6, 5)).save(tmp_path / "dog" / "9.tiff")
    (tmp_path / "dog" / "9.tiff").rename(tmp_path / "dog" / "9.png")
    with pytest.raises(InputError, match=r"9\.png has pixels of mode F, expected 8 bits"):
        load(f"folder:{tmp_path}", 0)
    (tmp_path / "dog" / "9.png").unlink()
    (tmp_path / "cow").mkdir()
    with pytest.raises(InputError, match="cow holds no images"):
        load(f"folder:{tmp_path}", 0)
