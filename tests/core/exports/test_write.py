"""An exported TIFF holds the exact values, the recipe and the metrics, for this program and for others."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from padis_gui.core.exports.about import About, read_recipe, read_result
from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.exports.tiff import write_result, write_tiff
from padis_gui.core.files.read import read_image
from padis_gui.core.physics.scanner import ParallelBeamSettings
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.recipe import DataReference, PriorReference, Recipe
from padis_gui.core.settings import files as atomic
from padis_gui.core.settings.errors import InputError
from padis_gui.core.solvers.diffusion.dds import DDSSettings

METRICS = {"psnr": 31.25, "ssim": 0.875, "residual": 1e-4}


def recipe(**changes: Any) -> Recipe:
    fields: dict[str, Any] = {
        "data": DataReference(
            file="/somewhere/σ µ slice.tif", page=2, sha256="ab" * 32, window=(-1000, 1000), unit="HU"
        ),
        "problem": ParallelBeamSettings(views=17, noise=0.01).model_dump(mode="json"),
        "prior": PriorReference(file="prior.safetensors", sha256="cd" * 32),
        "tiling": TilingSettings(patch=32),
        "solver": "dds",
        "settings": DDSSettings(eta=0.85).model_dump(mode="json"),
        "seed": 2**63 - 1,
        "device": "cpu",
        "precision": "float32",
        "threads": 2,
        "versions": {"torch": "2"},
    }
    return Recipe(**fields | changes)


def awkward() -> np.ndarray:
    """Values that rescaling or rounding would spoil."""
    values = np.random.default_rng(0).standard_normal((1, 21, 34)).astype(np.float32) * 3000
    values[0, 0, :6] = (-1024, 3071.5, 1e-30, -0.0, np.float32(1) / 3, 16_777_217)
    return values


def test_values_come_back_bit_for_bit_everywhere(tmp_path: Path) -> None:
    from PIL import Image as Pillow
    from skimage import io

    path, pixels = tmp_path / "out.tif", awkward()
    write_tiff(path, pixels, recipe(), METRICS, spacing=(0.7, 0.8))
    with Pillow.open(path) as picture:
        pillow = np.asarray(picture)
    for found in (tifffile.imread(path), pillow, io.imread(path), read_image(path).pixels[0]):
        assert found.dtype == np.float32
        assert np.array_equal(found.view(np.uint32), pixels[0].view(np.uint32))


def test_recipe_and_metrics_come_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    write_tiff(path, awkward(), recipe(), METRICS)
    assert read_recipe(path) == (recipe(), METRICS)


def test_recipe_round_trips_through_json() -> None:
    assert Recipe.model_validate_json(recipe().model_dump_json()) == recipe()


@pytest.mark.parametrize("spacing", [(0.797, 0.797), (0.25, 0.5), (5.0, 0.01)])
def test_spacing(tmp_path: Path, spacing: tuple[float, float]) -> None:
    path = tmp_path / "out.tif"
    write_tiff(path, awkward(), recipe(), METRICS, spacing=spacing)
    assert read_image(path).spacing == pytest.approx(spacing, rel=1e-5)
    write_tiff(path, awkward(), recipe(), METRICS)
    assert read_image(path).spacing is None


@pytest.mark.parametrize("kind", ["ImageJ", "OME"])
@pytest.mark.parametrize("slices", [None, 2.5])
def test_no_pixel_size_is_made_up(tmp_path: Path, kind: Any, slices: float | None) -> None:
    """A file that says mm without a pitch would say that a pixel is 1 mm wide."""
    path = tmp_path / "out.tif"
    about = About(kind="volume", pages=(0, 1), slice_spacing=slices, window=(0, 1))
    pages = np.zeros((2, 1, 20, 30), np.float32)
    write_tiff(path, pages, recipe(), METRICS, about=about, settings=ExportSettings(tiff=kind))
    image = read_image(path)
    assert (image.spacing, image.slice_spacing) == (None, slices)


def test_a_volume_of_an_earlier_version_that_knew_no_pixel_size_has_none(tmp_path: Path) -> None:
    about = {"unit": "HU", "spacing": None, "slice_spacing": 2.5}
    tifffile.imwrite(
        tmp_path / "old.tif", np.zeros((2, 20, 30), np.float32), imagej=True,
        metadata={"axes": "ZYX", "unit": "mm", "spacing": 2.5, "Info": json.dumps({"about": about})},
    )  # fmt: skip
    image = read_image(tmp_path / "old.tif")
    assert (image.spacing, image.slice_spacing) == (None, 2.5)


def test_colour(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((3, 21, 34), dtype=np.float32)
    path = tmp_path / "out.tif"
    write_tiff(path, pixels, recipe(), METRICS)
    assert np.array_equal(tifffile.imread(path), pixels)
    assert read_recipe(path)[0] == recipe()


@pytest.mark.parametrize("channels", [1, 3])
def test_labelled_pages(tmp_path: Path, channels: int) -> None:
    pixels = np.random.default_rng(0).random((3, channels, 21, 34), dtype=np.float32)
    labels = ("estimate", "σ of the samples", "seed 7")
    path = tmp_path / "out.tif"
    write_tiff(path, pixels, recipe(), METRICS, labels=labels)
    with tifffile.TiffFile(path) as file:
        assert file.imagej_metadata["Labels"] == [label for label in labels for _ in range(channels)]
        assert len(file.pages) == 3 * channels
        assert np.array_equal(np.squeeze(pixels), file.asarray())
    assert read_recipe(path) == (recipe(), METRICS)
    assert np.array_equal(read_image(path, 1).pixels, pixels[1])
    with pytest.raises(ValueError, match="zip"):
        write_tiff(path, pixels, recipe(), METRICS, labels=labels[:2])


def test_a_single_labelled_page(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    write_tiff(path, awkward()[None], recipe(), METRICS, labels=("seed 7",))
    assert read_image(path).pages == 1
    assert np.array_equal(read_image(path).pixels, awkward())
    with tifffile.TiffFile(path) as file:
        assert file.imagej_metadata["Labels"] == "seed 7" or file.imagej_metadata["Labels"] == ["seed 7"]


def test_big_and_little_values_are_not_clipped(tmp_path: Path) -> None:
    pixels = np.array([[[-5.0, 0.0], [1.0, 9.0]]], np.float32).repeat(16, 1).repeat(16, 2)
    write_tiff(tmp_path / "out.tif", pixels, recipe(), METRICS)
    assert read_image(tmp_path / "out.tif").pixels.min() == -5
    assert read_image(tmp_path / "out.tif").pixels.max() == 9


def test_failed_write_leaves_the_old_file_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.tif"
    write_tiff(path, awkward(), recipe(), METRICS)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", fail)
    with pytest.raises(InputError, match="No space left"):
        write_tiff(path, awkward() + 1, recipe(), METRICS)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written.*choose another place"):
        write_tiff(tmp_path / "no" / "out.tif", awkward(), recipe(), METRICS)


def test_other_files_carry_no_recipe(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "plain.tif", np.zeros((20, 20), np.float32))
    tifffile.imwrite(
        tmp_path / "j.tif", np.zeros((20, 20), np.float32), imagej=True, metadata={"Info": "words"}
    )
    tifffile.imwrite(
        tmp_path / "k.tif", np.zeros((20, 20), np.float32), imagej=True, metadata={"Info": "[1]"}
    )
    (tmp_path / "text.tif").write_text("words")
    (tmp_path / "empty.tif").write_bytes(b"")
    for name in ("plain.tif", "j.tif", "k.tif", "text.tif", "empty.tif", "none.tif"):
        with pytest.raises(InputError, match="carries no recipe"):
            read_recipe(tmp_path / name)


def test_recipe_with_unknown_fields_is_refused() -> None:
    with pytest.raises(ValueError, match="extra"):
        Recipe.model_validate(recipe().model_dump() | {"surprise": 1})


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pages", [1, 2, 4])
def test_a_result_comes_back_bit_for_bit(tmp_path: Path, channels: int, pages: int) -> None:
    pixels = np.random.default_rng(0).normal(size=(4, channels, 21, 34)).astype(np.float32)
    estimate, deviation, low, high = pixels
    path = tmp_path / "out.tif"
    interval = (low, high) if pages == 4 else None
    write_result(path, estimate, deviation if pages > 1 else None, recipe(), METRICS, (0.7, 0.8), interval)
    found = read_result(path)
    assert (found.recipe, found.metrics) == (recipe(), METRICS)
    assert np.array_equal(found.estimate, estimate)
    assert (found.deviation is None) == (pages == 1)
    assert (found.interval is None) == (pages < 4)
    if found.deviation is not None:
        assert np.array_equal(found.deviation, deviation)
    if found.interval is not None:
        assert np.array_equal(np.stack(found.interval), pixels[2:])


def test_only_results_are_read_as_results(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    tifffile.imwrite(path, awkward()[0])
    with pytest.raises(InputError, match=r"out\.tif"):
        read_result(path)
    write_result(path, awkward(), None, recipe(), METRICS, None)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"out\.tif"):
        read_result(path)
