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

from padis_gui.core.errors import InputError, SettingError
from padis_gui.core.partition import Frame
from padis_gui.core.training.data_settings import DataSettings
from padis_gui.core.training.dataset import TrainingData, load_training_data


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
    crops, positions = data.crops(patch, 60, frame, torch.Generator().manual_seed(1))
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
    _, positions = data.crops(8, 400, frame, torch.Generator().manual_seed(0))
    corners = {tuple(((p[:, 0, 0] + 1) * 9 / 2).round().int().tolist()) for p in positions}
    assert corners == {(a, b) for a in range(3) for b in range(3)}


def test_subjects_are_sampled_evenly() -> None:
    """One subject with nine images, one with a single one: half of the crops each."""
    images = torch.stack([torch.full((1, 8, 8), (n + 1) / 10) for n in range(10)])
    data = TrainingData(images, (tuple(range(9)), (9,)), (0.0, 1.0), "")
    crops, _ = data.crops(8, 4000, Frame(8, 0), torch.Generator().manual_seed(0))
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
