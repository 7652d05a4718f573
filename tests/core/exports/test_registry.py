"""What all kinds of export have in common: each is whole, says what it is, and its settings follow from its record."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from padis_gui.core.exports.about import About, read_export, read_result
from padis_gui.core.exports.content import IteratePicture, MeasuredScan, RunContent
from padis_gui.core.exports.registry import EXPORTS, ExportKind, ExportSettings, write_export
from padis_gui.core.exports.report import COLUMNS
from padis_gui.core.exports.settings import FileSettings
from padis_gui.core.images.image import Image
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.runs.engine import Result
from padis_gui.core.settings.declarations import specs
from padis_gui.core.settings.errors import InputError
from tests.core.exports.test_write import METRICS, awkward, recipe

ALL = pytest.mark.parametrize("kind", EXPORTS, ids=EXPORTS.names)
STEPS = (1, 2, 3)


def scan() -> MeasuredScan:
    """What a small fan measured."""
    values = np.random.default_rng(4).random((1, 9, 24)).astype(np.float32)
    geometry = Geometry(
        beam="fan", angles=np.arange(9) * 40.0, bins=24, bin_width=1.5, centre=0.25, source_distance=200.0,
        detector_distance=100.0, unit="mm",
    )  # fmt: skip
    return MeasuredScan(values=values, geometry=geometry)


def content() -> RunContent:
    """A run of three steps, of which all is known."""
    pixels = awkward()
    image = Image(pixels=pixels, unit="HU", window=(-1000, 1000), spacing=(0.7, 0.8), name="slice")
    result = Result(recipe=recipe(), image=image, metrics=METRICS)
    pictures = [IteratePicture(step=n, total=3, sigma=1 / n, psnr=20.0 + n, pixels=pixels / n) for n in STEPS]
    return RunContent(
        name="Run 1", title="Run 1", result=result, about=About(name="Run 1", unit="HU", sha256="ab" * 32),
        pictures=pictures, curves={name: [float(n) for n in STEPS] for name in COLUMNS}, truth=pixels,
        baseline=pixels + 1, measured=scan(),
    )  # fmt: skip


@ALL
def test_it_is_written_and_said_and_its_sidecar_repeats_the_run(kind: ExportKind, tmp_path: Path) -> None:
    settings = ExportSettings(what=kind.name, sidecar=True)
    path = tmp_path / f"a{settings.file_type.suffixes[0]}"
    beside = "a.ome.json" if path.name.endswith(".ome.zarr") else "a.json"
    said = write_export(content(), path, settings)
    assert said.startswith(f"Exported {path.name}: ")
    assert said.endswith(".")
    assert sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path])) > 50
    assert sorted(found.name for found in tmp_path.iterdir()) == sorted({path.name, beside})
    found = read_export(tmp_path / beside)
    assert found.recipe == recipe()
    assert found.metrics == METRICS
    assert found.file == (path if path.suffix == ".tif" else None)


@ALL
def test_its_form_has_the_settings_that_count(kind: ExportKind) -> None:
    choice, *others = specs(ExportSettings)
    assert (choice.name, choice.choices) == ("what", EXPORTS.names)
    assert f"{kind.name}: {kind.help}" in choice.help
    assert set(kind.settings) <= {spec.name for spec in specs(FileSettings)}
    chosen = ExportSettings(what=kind.name, values="uint8")
    for spec in others:
        counts = spec.name in kind.settings or not any(spec.name in each.settings for each in EXPORTS)
        assert spec.applies(chosen) is counts, spec.name


@ALL
def test_a_folder_that_is_gone_leaves_nothing_and_is_said(kind: ExportKind, tmp_path: Path) -> None:
    settings = ExportSettings(what=kind.name)
    with pytest.raises(InputError, match="in a folder that does not exist"):
        write_export(content(), tmp_path / "no" / f"a{settings.file_type.suffixes[0]}", settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("what", "words"), [("iterates", "none of Run 1"), ("animation", "none of Run 1"),
                                             ("curves", "no steps of its own")])  # fmt: skip
def test_what_a_run_has_not_is_refused(what: str, words: str, tmp_path: Path) -> None:
    samples = replace(content(), pictures=(), curves={name: [] for name in COLUMNS})
    with pytest.raises(InputError, match=words):
        write_export(samples, tmp_path / "a.tif", ExportSettings(what=what))
    assert not list(tmp_path.iterdir())


def test_no_file_name_stands_for_two_exports() -> None:
    ends = [kind.appendix + file.suffixes[0] for kind in EXPORTS for file in kind.types]
    assert len(ends) == len(set(ends))


def test_the_label_of_an_iterate_leaves_out_what_is_not_known() -> None:
    picture = IteratePicture(step=2, total=9, sigma=0.25, psnr=31.256, pixels=awkward())
    assert picture.label() == "step 2 of 9, σ 0.25, 31.26 dB"
    assert replace(picture, psnr=math.nan).label("noise level") == "step 2 of 9, noise level 0.25"


def test_a_result_has_its_own_values(tmp_path: Path) -> None:
    write_export(content(), tmp_path / "a.tif", ExportSettings())
    assert np.array_equal(read_result(tmp_path / "a.tif").estimate, awkward())
