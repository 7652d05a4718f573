"""Training images: crops are what explicit padding gives, subjects weigh the same, bad files are skipped."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F  # noqa: N812 - the name it goes by
from PIL import Image as Pillow

from padis_gui.core.prior.partition import Frame
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.training import dataset as module
from padis_gui.core.training.dataset import TrainingData, load_training_data
from padis_gui.core.training.settings import DataSettings
from tests.core.files.test_formats import nifti, series_of


def load(source: Path, size: int = 32, **options) -> TrainingData:
    return load_training_data(source, DataSettings(image_size=size, **options))


def stack(path: Path, pages: int = 6, size: int = 32) -> np.ndarray:
    array = np.random.default_rng(0).integers(-1024, 1500, (pages, size, size), dtype=np.int16)
    tifffile.imwrite(path, array, photometric="minisblack")
    return array


# -- crops ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patch", [8, 20, 44])
def test_crops_are_cut_from_the_padded_image(patch: int) -> None:
    """Each crop lies at the place that its positions name, in the image padded by zeros."""
    size, pad = 24, 10
    frame = Frame(size, pad)
    images = torch.rand(3, 2, size, size, generator=torch.Generator().manual_seed(0)) + 0.5
    data = TrainingData(images, ((0,), (1,), (2,)), (0.0, 1.0), "")
    padded = F.pad(images, (pad, pad, pad, pad))
    crops, positions, _ = data.crops(patch, 60, frame, torch.Generator().manual_seed(1))
    assert crops.shape == (60, 2, patch, patch)
    assert positions.shape == (60, 2, patch, patch)
    sources = set()
    for crop, position in zip(crops, positions, strict=True):
        column, row = ((position[:, 0, 0] + 1) * (frame.padded - 1) / 2).round().int().tolist()
        window = padded[:, :, row : row + patch, column : column + patch]
        matches = [n for n in range(3) if torch.equal(window[n], crop)]
        assert matches
        sources.update(matches if len(matches) == 1 else ())
        i = torch.arange(patch)
        along = 2 * (torch.stack([column + i, row + i])) / (frame.padded - 1) - 1
        torch.testing.assert_close(position[0], along[0].expand(patch, patch), rtol=0, atol=1e-5)
        torch.testing.assert_close(position[1], along[1, :, None].expand(patch, patch), rtol=0, atol=1e-5)
    assert sources == {0, 1, 2}


def test_crops_reach_every_corner_of_the_padded_image() -> None:
    frame = Frame(6, 2)
    data = TrainingData(torch.rand(1, 1, 6, 6), ((0,),), (0.0, 1.0), "")
    _, positions, _ = data.crops(8, 400, frame, torch.Generator().manual_seed(0))
    corners = {tuple(((p[:, 0, 0] + 1) * 9 / 2).round().int().tolist()) for p in positions}
    assert corners == {(a, b) for a in range(3) for b in range(3)}


def test_subjects_are_sampled_evenly() -> None:
    """One subject with nine images, one with a single one: half of the crops each."""
    images = torch.stack([torch.full((1, 8, 8), (n + 1) / 10) for n in range(10)])
    data = TrainingData(images, (tuple(range(9)), (9,)), (0.0, 1.0), "")
    crops, _, _ = data.crops(8, 4000, Frame(8, 0), torch.Generator().manual_seed(0))
    counts = Counter(round(float(c[0, 0, 0]) * 10) - 1 for c in crops)
    assert counts[9] == pytest.approx(2000, abs=160)  # five standard deviations
    for n in range(9):
        assert counts[n] == pytest.approx(2000 / 9, abs=80)


def test_crops_follow_the_generator() -> None:
    data = TrainingData(torch.rand(4, 1, 16, 16), ((0, 1), (2, 3)), (0.0, 1.0), "")
    a, b, c = (data.crops(8, 9, Frame(16, 4), torch.Generator().manual_seed(s))[0] for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


# -- reading ----------------------------------------------------------------------------------------------


def test_multi_page_tiff(tmp_path: Path) -> None:
    array = stack(tmp_path / "data.tif")
    data = load(tmp_path / "data.tif")
    expected = np.clip((array.astype(np.float32) + 1000) / 2000, 0, 1)
    torch.testing.assert_close(data.images[:, 0], torch.from_numpy(expected))
    assert (data.window, data.unit) == ((-1000.0, 1000.0), "HU")
    assert data.subjects == tuple((n,) for n in range(6))


def test_stacked_npy_and_an_own_window(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((3, 32, 32))
    np.save(tmp_path / "data.npy", array)
    data = load(tmp_path / "data.npy", window_low=0.0, window_high=2.0)
    torch.testing.assert_close(data.images[:, 0], torch.from_numpy(array.astype(np.float32) / 2))
    assert data.window == (0.0, 2.0)


def test_subjects_from_the_table_beside(tmp_path: Path) -> None:
    stack(tmp_path / "data.tif")
    (tmp_path / "data.csv").write_text("page,patient\n0,A\n1,B\n2,A\n3,B\n4,B\n5,C\n")
    assert load(tmp_path / "data.tif").subjects == ((0, 2), (1, 3, 4), (5,))
    (tmp_path / "other.csv").write_text("page,subject\n0,A\n1,A\n2,A\n3,A\n4,A\n")
    assert load(tmp_path / "data.tif", subjects=str(tmp_path / "other.csv")).subjects == (
        (0, 1, 2, 3, 4),
        (5,),
    )


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "page,patient\nx,A\n", "page\n1\n", "page,subject\n\n1\n", "\0"]
)
def test_tables_that_are_none(tmp_path: Path, text: str) -> None:
    stack(tmp_path / "data.tif")
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(InputError, match=r"columns page and patient.*bad\.csv"):
        load(tmp_path / "data.tif", subjects=str(tmp_path / "bad.csv"))


def test_bad_files_in_a_folder_are_skipped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "deep").mkdir()
    stack(tmp_path / "deep" / "good.tif", pages=2)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "words.tif").write_text("words")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\x01")
    np.save(tmp_path / "nan.npy", np.full((20, 20), np.nan))
    (tmp_path / "readme.md").write_text("not looked at")
    with caplog.at_level(logging.WARNING, "padis_gui"):
        data = load(tmp_path)
    assert len(data.images) == 2
    skipped = [r.getMessage() for r in caplog.records if r.name.startswith("padis_gui")]
    for name in ("empty.png", "folder.png", "words.tif", "cut.npy", "nan.npy"):
        assert any(name in message for message in skipped), name
    assert not any("readme" in message for message in skipped)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds none that can be read"):
        load(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        load(tmp_path / "none.tif")
    (tmp_path / "words.tif").write_text("words")
    with pytest.raises(InputError, match=r"words\.tif"):
        load(tmp_path / "words.tif")


@pytest.mark.parametrize("shape", [(48, 48), (40, 60), (60, 40), (20, 25)])
def test_other_sizes_are_scaled_and_centred(tmp_path: Path, shape: tuple[int, int]) -> None:
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    array = np.exp(-(x**2) * (shape[1] / min(shape)) ** 2 - (y**2) * (shape[0] / min(shape)) ** 2)
    np.save(tmp_path / "blob.npy", array)
    image = load(tmp_path / "blob.npy", window_low=0.0, window_high=1.0).images[0, 0]
    assert image.shape == (32, 32)
    assert float(image.max()) == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(image, image.flip(0), rtol=0, atol=0.03)  # the middle stays in the middle
    torch.testing.assert_close(image, image.flip(1), rtol=0, atol=0.03)
    torch.testing.assert_close(image, image.T, rtol=0, atol=0.05)  # and a pixel stays square


# -- other sizes and colours ------------------------------------------------------------------------------


def picture(path: Path, array: np.ndarray) -> Path:
    Pillow.fromarray(array).save(path)
    return path


def test_cropped_images_keep_their_pixels(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (50, 41), dtype=np.uint8)
    data = load(picture(tmp_path / "a.png", array), fit="crop")
    torch.testing.assert_close(data.images[0, 0], torch.from_numpy(array[9:41, 4:36] / np.float32(255)))
    small = load(picture(tmp_path / "b.png", array[:20, :16]), fit="crop")
    assert small.images.shape == (1, 1, 32, 32)


def test_padded_images_are_whole(tmp_path: Path) -> None:
    array = np.full((20, 26), 200, np.uint8)
    image = load(picture(tmp_path / "a.png", array), fit="pad").images[0, 0]
    assert image.shape == (32, 32)
    assert float(image.sum()) == pytest.approx(20 * 26 * 200 / 255, rel=1e-5)
    torch.testing.assert_close(image[6:26, 3:29], torch.full((20, 26), 200 / 255))
    large = load(picture(tmp_path / "b.png", np.full((64, 40), 200, np.uint8)), fit="pad").images[0, 0]
    torch.testing.assert_close(large[:, 6:26], torch.full((32, 20), 200 / 255))
    assert float(large[:, :6].abs().sum() + large[:, 26:].abs().sum()) == 0.0


def test_grey_and_colour(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    picture(tmp_path / "a.png", array)
    picture(tmp_path / "b.png", array[..., 0])
    grey, colour = load(tmp_path), load(tmp_path, colour="colour")
    assert (grey.channels, colour.channels) == (1, 3)
    torch.testing.assert_close(colour.images[0], torch.from_numpy(np.moveaxis(array, 2, 0) / np.float32(255)))
    assert torch.equal(colour.images[1], grey.images[1].expand(3, -1, -1))


# -- apart and in view ------------------------------------------------------------------------------------


def numbered(subjects: tuple[tuple[int, ...], ...]) -> TrainingData:
    count = sum(map(len, subjects))
    images = torch.arange(float(count)).view(-1, 1, 1, 1).expand(-1, 1, 4, 4) / count
    return TrainingData(images, subjects, (0.0, 1.0), "", names=tuple(map(str, range(count))))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.9])
def test_no_subject_is_on_both_sides(share: float) -> None:
    data = numbered(((0, 3, 7), (1,), (2, 4), (5,), (6, 8, 9)))
    train, validation = data.split(share, seed=1)
    assert validation is not None
    assert len(validation.subjects) == min(max(1, round(share * 5)), 4)
    owner = {str(index): n for n, members in enumerate(data.subjects) for index in members}
    seen = [{owner[name] for name in part.names} for part in (train, validation)]
    assert not seen[0] & seen[1]
    assert seen[0] | seen[1] == set(range(5))
    for part in (train, validation):
        for members in part.subjects:
            assert len({owner[part.names[index]] for index in members}) == 1
        for name, image in zip(part.names, part.images, strict=True):
            assert torch.equal(image, data.images[int(name)])


def test_a_split_follows_its_seed() -> None:
    data = numbered(tuple((n,) for n in range(20)))
    names = [data.split(0.3, seed)[0].names for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]


def test_what_cannot_be_split() -> None:
    data = numbered(((0, 1, 2, 3, 4, 5, 6, 7, 8, 9),))
    train, validation = data.split(0.2)
    assert validation is not None
    assert (train.names, validation.names) == (tuple("01234567"), ("8", "9"))
    assert data.split(0.0) == (data, None)
    alone = numbered(((0,),))
    assert alone.split(0.5) == (alone, None)


def test_a_preview_reaches_from_first_to_last() -> None:
    data = numbered(tuple((n,) for n in range(20)))
    assert torch.equal(data.preview(3), data.images[[0, 10, 19]])
    assert torch.equal(data.preview(50), data.images)


def test_skipped_files_are_listed_and_progress_is_told(tmp_path: Path) -> None:
    stack(tmp_path / "a.tif", pages=2)
    (tmp_path / "b.tif").write_text("words")
    calls: list[tuple[int, int]] = []
    data = load_training_data(
        [tmp_path / "b.tif", tmp_path / "a.tif"],
        DataSettings(image_size=32),
        progress=lambda done, total: calls.append((done, total)),
    )
    assert [s.name for s in data.skipped] == ["b.tif"]
    assert "damaged" in data.skipped[0].reason or "none that can be read" in data.skipped[0].reason
    assert data.names == ("a.tif page 0", "a.tif page 1")
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_window_that_is_none(tmp_path: Path) -> None:
    stack(tmp_path / "a.tif")
    assert load(tmp_path / "a.tif", window_high=400.5).window == (-1000.0, 400.5)
    with pytest.raises(SettingError, match="2000 to 1000"):
        load(tmp_path / "a.tif", window_low=2000.0)


# -- one window for all -----------------------------------------------------------------------------------


def spread(low: float, high: float, dtype: type, pages: int = 3) -> np.ndarray:
    """Stacks whose pages lie in different parts of the range."""
    ramp = np.linspace(low, high, pages * 32 * 32)
    return ramp.astype(dtype).reshape(pages, 32, 32)


@pytest.mark.parametrize(
    ("array", "window", "unit"),
    [
        (spread(3, 200, np.uint8), (0, 255), ""),
        (spread(0, 60000, np.uint16), (0, 65535), ""),
        (spread(10, 4000, np.uint16), (0, 4095), ""),
        (spread(0, 2500, np.uint16), (0, 2497), ""),
        (spread(900, 2500, np.uint16), (901, 2498), ""),
        (spread(-1024, 3000, np.int16), (-1000, 1000), "HU"),
        (spread(-1000, 400, np.float32), (-1000, 1000), "HU"),
        (spread(0.1, 0.8, np.float32), (0, 1), ""),
        (spread(0, 5, np.float64), (0, 4.995), ""),
        (spread(-2, 2, np.float32), (-1.996, 1.996), ""),
        (np.full((3, 32, 32), 7.5), (7.5, 8.5), ""),
    ],
)
def test_proposed_windows(tmp_path: Path, array: np.ndarray, window: tuple[float, float], unit: str) -> None:
    np.save(tmp_path / "a.npy", array)
    data = load(tmp_path / "a.npy")
    assert data.window == pytest.approx(window)
    assert data.unit == unit
    scaled = (array.astype(np.float32) - data.window[0]) / (data.window[1] - data.window[0])
    np.testing.assert_allclose(data.images[:, 0], scaled.clip(0, 1), atol=1e-6)  # the same for every page


def test_a_few_hot_pixels_change_no_window(tmp_path: Path) -> None:
    array = spread(0, 2500, np.uint16)
    array[1, 2, 3] = 65535
    np.save(tmp_path / "a.npy", array)
    assert load(tmp_path / "a.npy").window == pytest.approx((0.0, 2500.0), abs=5)


def test_a_page_without_air_is_in_the_unit_of_the_others(tmp_path: Path) -> None:
    array = spread(-1000, 900, np.int16, pages=40)  # the first page is air, most have none
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    data = load(tmp_path / "a.tif")
    assert data.unit == "HU"
    np.testing.assert_allclose(data.images[39, 0], (array[39] + 1000.0) / 2000, atol=1e-6)


def test_decimal_windows(tmp_path: Path) -> None:
    array = spread(-1, 1, np.float32)
    np.save(tmp_path / "a.npy", array)
    data = load(tmp_path / "a.npy", window_low=-0.25, window_high=0.75)
    np.testing.assert_allclose(data.images[:, 0], (array + 0.25).clip(0, 1), atol=1e-6)


def test_pages_in_another_scale_are_skipped_unless_a_window_is_given(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.png", np.full((32, 32), 100, np.uint8))
    tifffile.imwrite(tmp_path / "d.tif", np.full((32, 32), 60000, np.uint16))
    data = load(tmp_path)
    assert data.names == ("a.png", "b.png", "c.png")
    assert "0 to 255" in data.skipped[0].reason
    assert "60000" in data.skipped[0].reason
    assert len(load(tmp_path, window_low=0.0, window_high=65535.0).images) == 4


# -- volumes, series and arrays ---------------------------------------------------------------------------


def test_a_folder_of_dicom_series(tmp_path: Path) -> None:
    """Two patients, one with two series; slices in order whatever their names; a scout and words left out."""
    first = series_of(tmp_path / "p1", 4, uid="1.2.3", PatientID="A")
    series_of(tmp_path / "p1", 3, uid="1.2.4", PatientID="A")
    series_of(tmp_path / "p2", 5, uid="1.2.5", PatientID="B")
    series_of(tmp_path / "p2", 1, uid="1.2.6", PatientID="B", ImageType=["DERIVED", "PRIMARY", "LOCALIZER"])
    (tmp_path / "p2" / "notes.txt").write_text("words")
    data = load(tmp_path)
    assert (data.unit, data.window, len(data.images)) == ("HU", (-1000.0, 1000.0), 12)
    assert sorted(map(len, data.subjects)) == [5, 7]
    assert ["localizer" in s.reason for s in data.skipped] == [True]
    expected = load_training_data(
        [write_stack(tmp_path / "s.npy", first - 1024)],
        DataSettings(image_size=32, window_low=-1000, window_high=1000),
    )
    torch.testing.assert_close(data.images[:4], expected.images)
    train, validation = data.split(0.4)
    assert validation is not None
    assert {len(train.images), len(validation.images)} == {5, 7}


def write_stack(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_a_volume_is_one_subject_and_so_is_a_file_among_several(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).random((32, 32, 5)).astype(np.float32)
    nifti(tmp_path / "a.nii.gz", volume)
    assert load(tmp_path / "a.nii.gz").subjects == ((0, 1, 2, 3, 4),)
    one = write_stack(tmp_path / "b.npy", volume.transpose(2, 0, 1)[:, :32, :30])
    assert load(one).subjects == ((0,), (1,), (2,), (3,), (4,))
    assert [len(s) for s in load(tmp_path).subjects] == [5, 5]


def test_a_named_array(tmp_path: Path) -> None:
    low, high = spread(0, 0.4, np.float64), spread(0.5, 1, np.float64)
    np.savez(tmp_path / "a.npz", low=low, high=high)
    np.testing.assert_allclose(load(tmp_path / "a.npz", dataset="high").images[:, 0], high, atol=1e-6)
    with pytest.raises(InputError, match="holds low, high"):
        load(tmp_path / "a.npz")


def test_subjects_by_the_name_of_the_file(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        stack(tmp_path / name, pages=3)
    picture(tmp_path / "c.tif.png", np.zeros((32, 32), np.uint8))
    (tmp_path / "subjects.csv").write_text("file,page,patient\na.tif,,A\nb.tif,0,A\nb.tif,1,B\n")
    data = load(tmp_path, window_low=-1000.0, window_high=1000.0)
    assert data.names[0] == "a.tif page 0"
    assert data.subjects == ((0, 1, 2, 3), (4,), (5,), (6,))
    (tmp_path / "other.csv").write_text("file,patient\nz.tif,A\n")
    with pytest.raises(InputError, match=r"other\.csv names none of them"):
        load(tmp_path, subjects=str(tmp_path / "other.csv"))


def test_a_folder_that_skips_much_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture(tmp_path / "good.png", np.zeros((32, 32), np.uint8))
    write_stack(tmp_path / "flat.npy", np.zeros((500, 8, 40), np.uint8))
    with caplog.at_level(logging.WARNING, "padis_gui"):
        data = load(tmp_path)
    assert len(data.skipped) == 500
    assert data.skipped[7].name == "flat.npy page 7"
    assert "8 x 40" in data.skipped[7].reason
    assert len(caplog.records) < 30
    assert "480 more" in caplog.records[-1].getMessage()


def test_more_than_the_memory_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png", np.zeros((32, 32), np.uint8))
    monkeypatch.setattr(module, "total_memory_mb", lambda: 1024.0)
    with pytest.raises(InputError, match=r"10000 training images.*2\.4 GiB"):
        load(tmp_path, 256, crops=10_000)


def test_random_squares_follow_the_seed_and_stay_with_their_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "ab":
        picture(tmp_path / f"{name}.png", rng.integers(0, 256, (90, 70), dtype=np.uint8))
    settings = DataSettings(image_size=32, crops=4, shrink=1.5)
    one, same, other = (load_training_data(tmp_path, settings, seed=s) for s in (1, 1, 2))
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.images, other.images)
    assert one.subjects == ((0, 1, 2, 3), (4, 5, 6, 7))


def test_the_real_slices(shared: Path) -> None:
    data = load_training_data(shared / "data" / "ct_val_256.tif", DataSettings())
    assert (tuple(data.images.shape), len(data.subjects)) == ((22, 1, 256, 256), 8)
    assert (data.window, data.unit, data.skipped) == ((-1000.0, 1000.0), "HU", ())
    series = load_training_data(shared / "data" / "dicom", DataSettings(image_size=64))
    assert (len(series.images), len(series.subjects), series.unit) == (10, 1, "HU")
