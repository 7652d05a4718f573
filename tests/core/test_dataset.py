"""Training images: crops are what explicit padding gives, subjects weigh the same, bad files are skipped."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F  # noqa: N812 - the name it goes by

from padis_gui.core.errors import InputError
from padis_gui.core.partition import Frame
from padis_gui.core.training.dataset import TrainingData, load_training_data


def load(source: Path, size: int = 32, **options) -> TrainingData:
    options = {"window": None, "channels": 1, "subjects_csv": None} | options
    return load_training_data(source, image_size=size, **options)


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
    data = load(tmp_path / "data.npy", window=(0.0, 2.0))
    torch.testing.assert_close(data.images[:, 0], torch.from_numpy(array.astype(np.float32) / 2))
    assert data.window == (0.0, 2.0)


def test_subjects_from_the_table_beside(tmp_path: Path) -> None:
    stack(tmp_path / "data.tif")
    (tmp_path / "data.csv").write_text("page,patient\n0,A\n1,B\n2,A\n3,B\n4,B\n5,C\n")
    assert load(tmp_path / "data.tif").subjects == ((0, 2), (1, 3, 4), (5,))
    (tmp_path / "other.csv").write_text("page,subject\n0,A\n1,A\n2,A\n3,A\n4,A\n")
    assert load(tmp_path / "data.tif", subjects_csv=tmp_path / "other.csv").subjects == (
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
        load(tmp_path / "data.tif", subjects_csv=tmp_path / "bad.csv")


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
    image = load(tmp_path / "blob.npy", window=(0.0, 1.0)).images[0, 0]
    assert image.shape == (32, 32)
    assert float(image.max()) == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(image, image.flip(0), rtol=0, atol=0.03)  # the middle stays in the middle
    torch.testing.assert_close(image, image.flip(1), rtol=0, atol=0.03)
    torch.testing.assert_close(image, image.T, rtol=0, atol=0.05)  # and a pixel stays square
