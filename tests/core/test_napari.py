"""Exports as layers of napari: the laws, and with napari itself where it is installed (packaging/interfaces.py)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

import padis_gui
from padis_gui.api.napari import get_reader
from padis_gui.core.exports.about import About, read_export
from padis_gui.core.exports.content import IteratePicture, RunContent
from padis_gui.core.exports.registry import ExportSettings, write_export
from padis_gui.core.images.image import Image
from padis_gui.core.prior.partition import Frame
from padis_gui.core.prior.tiling import make_tiling
from padis_gui.core.runs.engine import Result
from tests.core.exports.test_write import METRICS, recipe

SHAPE = (48, 60)


def run(channels: int = 1, *, samples: bool = False, volume: bool = False) -> RunContent:
    """A run of three steps under random tilings."""
    rng = np.random.default_rng(1)
    pixels = rng.random((channels, *SHAPE)).astype(np.float32) * 2000 - 1000
    image = Image(
        pixels=pixels, unit="HU", window=(-1000.0, 1000.0), spacing=(0.7, 0.8), name="slice",
        slices=tuple(range(channels)) if volume else (), slice_spacing=2.5 if volume else None,
    )  # fmt: skip
    tiling, draws = make_tiling("random", SHAPE, 32, Frame(64, 32)), torch.Generator().manual_seed(2)
    result = Result(
        recipe=recipe(), image=image, metrics=METRICS, deviation=np.abs(pixels) if samples else None,
        interval=(pixels - 1, pixels + 1) if samples else None,
    )  # fmt: skip
    pictures = [
        IteratePicture(step=n, total=3, sigma=1 / n, pixels=pixels / n, partition=tiling.draw(draws))
        for n in (1, 2, 3)
    ]
    return RunContent(
        name="r", title="r", result=result, about=About.of(result, "r", spacing=(0.7, 0.8)), pictures=pictures
    )


def layers_of(path: Path) -> list[Any]:
    reader = get_reader(str(path))
    assert reader is not None
    return reader(str(path))


def test_iterates_are_a_stack_and_each_tiling_covers_its_page(tmp_path: Path) -> None:
    content = run()
    write_export(content, tmp_path / "i.tif", ExportSettings(what="iterates"))
    (data, settings, kind), (corners, shown, shapes) = layers_of(tmp_path / "i.tif")
    assert (kind, shapes) == ("image", "shapes")
    assert np.array_equal(data, np.stack([picture.pixels[0] for picture in content.pictures]))
    assert settings["scale"] == (1.0, 0.7, 0.8) == shown["scale"]
    assert settings["contrast_limits"] == (-1000.0, 1000.0)
    assert settings["metadata"]["metrics"]["psnr"] == METRICS["psnr"]
    assert settings["metadata"]["recipe"]["solver"] == recipe().solver
    for page, picture in enumerate(content.pictures):
        covered = np.zeros(SHAPE, dtype=int)
        for rectangle in corners[corners[:, 0, 0] == page]:
            (top, left), (bottom, right) = rectangle[0, 1:].astype(int), rectangle[2, 1:].astype(int)
            assert (bottom - top, right - left) == (31, 31)
            covered[max(top, 0) : bottom + 1, max(left, 0) : right + 1] += 1
        assert (covered == 1).all()
        assert picture.partition is not None
        starts = {(box.row - picture.partition.pad[0], box.column - picture.partition.pad[1])
                  for box in picture.partition.boxes}  # fmt: skip
        assert starts == {tuple(r[0, 1:].astype(int)) for r in corners[corners[:, 0, 0] == page]}


def test_samples_are_layers_a_volume_is_a_stack_and_colours_are_colours(tmp_path: Path) -> None:
    for name, content in (
        ("s", run(samples=True)), ("v", run(4, volume=True)), ("c", run(3)), ("i", run()),
    ):  # fmt: skip
        write_export(content, tmp_path / f"{name}.tif", ExportSettings())
    samples = layers_of(tmp_path / "s.tif")
    assert [layer[1]["name"] for layer in samples][:2] == ["s mean", "s standard deviation"]
    assert ["contrast_limits" in layer[1] for layer in samples] == [True, False, True, True]
    ((data, settings, _),) = layers_of(tmp_path / "v.tif")
    assert data.shape == (4, *SHAPE)
    assert settings["scale"] == (2.5, 0.7, 0.8)
    ((data, settings, _),) = layers_of(tmp_path / "c.tif")
    assert data.shape == (*SHAPE, 3)
    assert settings["rgb"]
    assert data.min() >= 0
    assert data.max() <= 1
    ((data, settings, _),) = layers_of(tmp_path / "i.tif")
    assert data.shape == SHAPE


def test_tilings_that_no_partition_has_are_refused_where_they_enter(tmp_path: Path) -> None:
    write_export(run(), tmp_path / "i.tif", ExportSettings(what="iterates", sidecar=True))
    assert len(read_export(tmp_path / "i.json").about.tilings) == 3
    text = (tmp_path / "i.json").read_text().replace('"patch": 32', '"patch": 0')
    (tmp_path / "i.json").write_text(text)
    with pytest.raises(padis_gui.PadisError):
        read_export(tmp_path / "i.json")


def test_other_files_are_left_to_others(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.float32))
    assert get_reader(str(tmp_path / "a.tif")) is None
    assert get_reader([str(tmp_path / "a.tif")]) is None
    assert get_reader([]) is None


# -- napari itself ----------------------------------------------------------------------------------------


def test_the_manifest_is_one() -> None:
    npe2 = pytest.importorskip("npe2", reason="npe2 is not installed; packaging/interfaces.py installs it")
    manifest = npe2.PluginManifest.from_file(Path(padis_gui.__file__).with_name("napari.yaml"))
    manifest.validate_imports()
    assert [reader.command for reader in manifest.contributions.readers] == ["padis-gui.reader"]
    assert "padis-gui" in {found.manifest.name for found in npe2.PluginManifest.discover() if found.manifest}


def test_napari_opens_what_was_exported(tmp_path: Path) -> None:
    components = pytest.importorskip(
        "napari.components", reason="napari is not installed; packaging/interfaces.py installs it"
    )
    content = run()
    write_export(content, tmp_path / "i.tif", ExportSettings(what="iterates"))
    pytest.importorskip(
        "npe2"
    ).PluginManager.instance().discover()  # which napari's own window does at its start
    viewer = components.ViewerModel()
    image, tiles = viewer.open(str(tmp_path / "i.tif"), plugin="padis-gui")
    assert type(image).__name__ == "Image"
    assert image.data.shape == (3, *SHAPE)
    assert tuple(image.scale) == (1.0, 0.7, 0.8)
    assert type(tiles).__name__ == "Shapes"
    assert len(tiles.data) == sum(len(p.partition.boxes) for p in content.pictures if p.partition is not None)
    assert image.metadata["metrics"]["psnr"] == METRICS["psnr"]
