# SPDX-License-Identifier: Apache-2.0
"""Data sets: what is read, split and standardised, and what is refused with which sentence."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tinytailor.nas.data import load
from tinytailor.targets.errors import InputError, ToolError

pytestmark = [pytest.mark.torch]


def write(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path, **arrays)
    return f"npz:{path}"


def series(count: int = 24, time: int = 20, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(3.0, 2.0, (count, time, channels)), np.arange(count) % 2


def test_basic_motions_has_forty_series_on_either_side_and_four_equally_held_out_classes() -> None:
    data = load("ucr:BasicMotions", seed=0)
    assert data.x_train.shape == (28, 100, 6)
    assert data.standardised(data.x_train).dtype == np.float32
    assert data.x_test.shape == (40, 100, 6)
    assert data.class_names == ("badminton", "running", "standing", "walking")
    assert np.bincount(data.y_valid).tolist() == [3, 3, 3, 3]
    assert data.all_train()[0].shape == (40, 100, 6)


def test_standardisation_uses_the_training_part_only(tmp_path: Path) -> None:
    x, y = series()
    split = np.array(["train"] * 12 + ["valid"] * 6 + ["test"] * 6)
    x[12:] += 100.0
    data = load(write(tmp_path / "a.npz", x=x, y=y, split=split), seed=0)
    np.testing.assert_allclose(data.mean, x[:12].mean((0, 1)), rtol=1e-5)
    standardised = data.standardised(data.x_train)
    np.testing.assert_allclose(standardised.mean((0, 1)), 0.0, atol=1e-5)
    np.testing.assert_allclose(standardised.std((0, 1)), 1.0, atol=1e-4)
    np.testing.assert_array_equal(data.x_test, x[18:])


def test_a_constant_channel_stays_finite(tmp_path: Path) -> None:
    x, y = series()
    x[:, :, 1] = 9.81
    data = load(write(tmp_path / "a.npz", x=x, y=y), seed=0)
    standardised = data.standardised(data.x_train)
    assert np.isfinite(standardised).all()
    assert np.abs(standardised[:, :, 1]).max() < 1e-3


def test_the_same_seed_gives_the_same_split_and_another_seed_another(tmp_path: Path) -> None:
    x, y = series(60)
    spec = write(tmp_path / "a.npz", x=x, y=y)
    a, b, c = load(spec, 1), load(spec, 1), load(spec, 2)
    np.testing.assert_array_equal(a.x_valid, b.x_valid)
    assert not np.array_equal(a.x_valid, c.x_valid)


def test_no_subject_is_in_two_parts(tmp_path: Path) -> None:
    x, y = series(80)
    x[:, :, 0] = np.repeat(np.arange(8), 10)[:, None]  # the subject can be read off channel 0
    data = load(write(tmp_path / "a.npz", x=x, y=y, subject=np.repeat(np.arange(8), 10)), seed=0)
    parts = [
        {round(float(v)) for v in part[:, 0, 0] * data.std[0] + data.mean[0]}
        for part in (data.x_train, data.x_valid, data.x_test)
    ]
    assert all(parts)
    assert sum(map(len, parts)) == 8


def test_the_first_nan_is_named_with_file_array_and_position(tmp_path: Path) -> None:
    x, y = series()
    x[7, 3, 2] = np.nan
    spec = write(tmp_path / "broken.npz", x=x, y=y)
    with pytest.raises(InputError, match=r"broken\.npz: array x holds nan at .*= \[7, 3, 2\]"):
        load(spec, 0)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x": np.zeros((8, 5))}, r"array x has rank 2 \(shape \(8, 5\)\), expected rank 3"),
        ({"x": np.zeros((0, 5, 1)), "y": np.zeros(0, int)}, "array x is empty"),
        ({"y": np.zeros(9, int)}, r"array y has shape \(9,\), expected \(8,\)"),
        ({"y": np.zeros(8)}, "array y has type float64, expected integers or strings"),
        ({"y": np.zeros(8, int)}, "holds one class only"),
        ({"split": np.array(["train"] * 8)}, "array split has no 'test' series"),
        (
            {"split": np.array(["train"] * 7 + ["tset"])},
            "array split holds 'tset'; did you mean test",
        ),
        ({"split": np.array(["train"] * 4)}, r"array split has shape \(4,\), expected \(8,\)"),
        (
            {
                "y": np.array([0, 0, 1, 1, 0, 1, 2, 2]),
                "split": np.array(["train"] * 6 + ["test"] * 2),
            },
            "holds the label 2, of which the train part has no series",
        ),
        ({"y": np.array([0, 0, 0, 0, 0, 0, 0, 1])}, "class number 1 has one series"),
        ({"x": np.full((8, 5, 1), "a")}, "array x has type <U1, expected real numbers"),
    ],
)
def test_bad_arrays_are_refused_with_what_was_expected(
    tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str
) -> None:
    good = {"x": np.random.default_rng(0).normal(size=(8, 5, 1)), "y": np.arange(8) % 2}
    with pytest.raises(InputError, match=sentence):
        load(write(tmp_path / "a.npz", **{**good, **arrays}), 0)


def test_a_missing_array_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no array y; it has: x"):
        load(write(tmp_path / "a.npz", x=np.zeros((4, 5, 1))), 0)
    with pytest.raises(InputError, match=r"cannot read .*none\.npz"):
        load(f"npz:{tmp_path / 'none.npz'}", 0)
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(InputError, match=r"text\.npz is not an \.npz file of plain arrays"):
        load(f"npz:{tmp_path / 'text.npz'}", 0)


def test_unknown_sources_and_sets_list_the_known_ones() -> None:
    with pytest.raises(InputError, match="uea:NAME, npz:FILE, folder:PATH, uci-har, hapt"):
        load("kaggle:x", 0)
    with pytest.raises(InputError, match=r"does not come with aeon.*BasicMotions.*npz:FILE"):
        load("ucr:Nonsense", 0)


def test_without_aeon_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aeon.datasets", None)
    with pytest.raises(ToolError, match=r"pip install tinytailor\[data\]"):
        load("ucr:BasicMotions", 0)


def test_a_folder_named_by_the_environment_is_looked_in_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = series(16)
    (tmp_path / "ts_small").mkdir()
    arrays = {"x_train": x[:8], "y_train": y[:8], "x_test": x[8:], "y_test": y[8:]}
    named = {f"Mine/{key}": value for key, value in arrays.items()}
    np.savez(
        tmp_path / "ts_small" / "ts_small.npz", **named, **{"Mine/classes": np.array(["a", "b"])}
    )
    monkeypatch.setenv("TINYTAILOR_DATA", str(tmp_path))
    assert load("ts-small:Mine", 0).class_names == ("a", "b")
    with pytest.raises(InputError, match="has no set 'Other'; it has: Mine"):
        load("ts-small:Other", 0)


def photos(count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Bytes (N, 32, 32, 3) that differ in every channel, and labels 0..9 in turn."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8), np.arange(count) % 10


def cifar_archive(path: Path, x: np.ndarray, y: np.ndarray, spoil: bytes = b"") -> None:
    """An archive laid out as the published one: five training batches and one to test."""
    planes = np.concatenate(
        [y[:, None].astype(np.uint8), x.transpose(0, 3, 1, 2).reshape(len(x), -1)], 1
    )
    parts = {f"data_batch_{i + 1}.bin": part for i, part in enumerate(np.array_split(planes, 5))}
    files = {name: part.tobytes() for name, part in {**parts, "test_batch.bin": planes}.items()}
    files["test_batch.bin"] += spoil
    files["batches.meta.txt"] = "\n".join("abcdefghij").encode() + b"\n\n"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_cifar_10_is_read_from_the_archive_that_its_author_publishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = photos(40)
    cifar_archive(tmp_path / "cifar-10-binary.tar.gz", x, y)
    monkeypatch.setenv("TINYTAILOR_DATA", str(tmp_path))
    data = load("cifar10", 0)
    assert data.shape == (32, 32, 3)
    assert data.class_names == tuple("abcdefghij")
    np.testing.assert_array_equal(data.x_test, x)
    np.testing.assert_array_equal(data.y_test, y)
    mean = data.standardised(data.x_train).mean((0, 1, 2))
    np.testing.assert_allclose(mean, 0.0, atol=1e-4)
    few = load("cifar10:20", 0)
    np.testing.assert_array_equal(few.y_test, y[:20])
    with pytest.raises(InputError, match="'many' is not a number of images of 20 or more"):
        load("cifar10:many", 0)


def test_a_broken_cifar_archive_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = photos()
    path = tmp_path / "cifar-10-binary.tar.gz"
    monkeypatch.setenv("TINYTAILOR_DATA", str(tmp_path))
    cifar_archive(path, x, y, spoil=b"1")
    with pytest.raises(InputError, match="expected records of 3073"):
        load("cifar10", 0)
    cifar_archive(path, x, y + 1)
    with pytest.raises(InputError, match="holds the label 10, expected 0 to 9"):
        load("cifar10", 0)
    with tarfile.open(path, "w:gz"):
        pass
    with pytest.raises(InputError, match=r"holds no file cifar-10-batches-bin/data_batch_1\.bin"):
        load("cifar10", 0)
    path.write_bytes(b"not an archive")
    with pytest.raises(InputError, match="as an archive"):
        load("cifar10", 0)


def test_cifar_10_as_jpeg_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image")
    grey = np.linspace(20, 220, 20).astype(np.uint8)
    y = np.arange(20) % 10
    files = []
    for value in grey:
        file = io.BytesIO()
        image.fromarray(np.full((32, 32, 3), value, np.uint8)).save(file, "JPEG", quality=95)
        files.append(file.getvalue())
    data = np.frombuffer(b"".join(files), np.uint8)
    offset = np.cumsum([0, *map(len, files)])
    names = {"jpeg": data, "offset": offset, "y": y.astype(np.int8)}
    arrays = {f"{k}_{part}": v for k, v in names.items() for part in ("train", "test")}
    (tmp_path / "cifar10").mkdir()
    np.savez(tmp_path / "cifar10" / "cifar10_jpeg.npz", **arrays, classes=np.array([*"abcdefghij"]))
    monkeypatch.setenv("TINYTAILOR_DATA", str(tmp_path))
    loaded = load("cifar10", 0)
    raw = loaded.x_test.astype(int)
    np.testing.assert_allclose(raw, np.broadcast_to(grey[:, None, None, None], raw.shape), atol=3)


def test_images_keep_their_axes_and_are_standardised_by_channel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (24, 6, 5, 3)).astype(np.uint8)
    data = load(write(tmp_path / "a.npz", x=x, y=np.arange(24) % 2), 0)
    assert data.shape == (6, 5, 3)
    assert data.mean.shape == data.std.shape == (3,)
    mean = data.standardised(data.x_train).mean((0, 1, 2))
    np.testing.assert_allclose(mean, 0.0, atol=1e-5)
    x = x.astype(np.float32)
    x[4, 1, 2, 0] = np.inf
    with pytest.raises(InputError, match=r"\[image, row, column, channel\] = \[4, 1, 2, 0\]"):
        load(write(tmp_path / "b.npz", x=x, y=np.arange(24) % 2), 0)
