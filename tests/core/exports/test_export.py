"""ImageJ, OME, whole numbers, sidecars: every export carries the recipe, and says what became of its values."""

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from padis_gui.core.exports.about import (
    About,
    carries_recipe,
    read_export,
    read_pages,
    read_recipe,
    read_result,
    sidecar_path,
)
from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.exports.settings import integer_mapping
from padis_gui.core.exports.tiff import write_result, write_tiff
from padis_gui.core.runs.recipe import Change, DataReference, Recipe
from padis_gui.core.settings import files as atomic
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.files import pixels_sha256
from tests.core.exports.test_write import METRICS, awkward, recipe

TIFFS = ["ImageJ", "OME"]


def pages(count: int, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((count, channels, 18, 23)) * 700).astype(np.float32)


@pytest.mark.parametrize("tiff", TIFFS)
@pytest.mark.parametrize(("count", "channels"), [(None, 1), (None, 3), (1, 1), (5, 1), (3, 3)])
def test_other_programs_read_the_same_values_and_axes(
    tmp_path: Path, tiff: str, count: int | None, channels: int
) -> None:
    from PIL import Image as Pillow
    from skimage import io

    path, made = tmp_path / "out.tif", pages(count or 1, channels)
    labels = () if count is None else tuple(f"step {n}" for n in range(count))
    write_tiff(
        path, made[0] if count is None else made, recipe(), METRICS, labels=labels, settings=ExportSettings(tiff=tiff)
    )  # fmt: skip
    with tifffile.TiffFile(path) as file:
        assert file.is_ome == (tiff == "OME")
        assert file.is_imagej == (tiff == "ImageJ")
        found, axes = file.series[0].asarray(), file.series[0].axes
    several = count is not None and count > 1
    assert axes.lstrip("T" if not several else "") == ("T" if several else "") + (
        "CYX" if channels > 1 else "YX"
    )
    assert np.array_equal(found.reshape(made.shape).view(np.uint32), made.view(np.uint32))
    seen = io.imread(path)  # which has the colours last
    seen = np.moveaxis(seen, -1, -3) if channels == 3 else seen
    assert np.array_equal(seen.reshape(made.shape), made)
    with Pillow.open(path) as picture:
        planes = []
        for at in range(made.shape[0] * channels):
            if at:
                try:
                    picture.seek(at)
                except EOFError:
                    break
            planes.append(np.asarray(picture))
    assert all(np.array_equal(a, b) for a, b in zip(planes, made.reshape(-1, 18, 23), strict=False))
    assert tiff == "ImageJ" or len(planes) == made.shape[0] * channels


@pytest.mark.parametrize("tiff", TIFFS)
def test_spacing_and_unit_are_stated_in_each_convention(tmp_path: Path, tiff: str) -> None:
    path = tmp_path / "out.tif"
    write_tiff(
        path, awkward(), recipe(), METRICS, spacing=(0.75, 0.5), about=About(unit="HU"),
        settings=ExportSettings(tiff=tiff),
    )  # fmt: skip
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        across, down = (tags[name].value[0] / tags[name].value[1] for name in ("XResolution", "YResolution"))
        if tiff == "ImageJ":
            assert (file.imagej_metadata["unit"], file.imagej_metadata["vunit"]) == ("mm", "HU")
            assert (1 / across, 1 / down) == pytest.approx((0.5, 0.75))
        else:
            xml = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
            assert (xml["PhysicalSizeX"], xml["PhysicalSizeY"]) == (0.5, 0.75)
            assert (xml["PhysicalSizeXUnit"], xml["PhysicalSizeYUnit"]) == ("mm", "mm")
            assert (10 / across, 10 / down) == pytest.approx((0.5, 0.75))


_TEXT = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), min_size=1, max_size=30
)
_RECIPES = st.builds(
    lambda name, unit, seed, low, steps, samples: recipe(
        data=DataReference(file=f"/{name}.tif", sha256="ab" * 32, window=(low, low + 1.5), unit=unit),
        seed=seed,
        changes=tuple(Change(step=step, settings={"zeta": 0.25}) for step in steps),
        sample_seeds=tuple(samples),
        versions={"torch": name},
    ),
    _TEXT, _TEXT, st.integers(0, 2**63 - 1), st.floats(-1e9, 1e9), st.lists(st.integers(1, 99), max_size=3),
    st.lists(st.integers(0, 2**63 - 1), max_size=3),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(_RECIPES, st.sampled_from(TIFFS), st.booleans())
def test_the_recipe_survives_every_way_of_writing(
    tmp_path_factory: pytest.TempPathFactory, made: Recipe, tiff: str, sidecar: bool
) -> None:
    path = tmp_path_factory.mktemp("property") / "out.tif"
    metrics = METRICS | {"psnr": float("inf")}
    wanted = METRICS | {"psnr": None}
    write_tiff(path, awkward(), made, metrics, settings=ExportSettings(tiff=tiff, sidecar=sidecar))
    assert read_recipe(path) == (made, wanted)
    if sidecar:
        assert read_recipe(sidecar_path(path)) == (made, wanted)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["uint8", "uint16", "int16"]),
    st.floats(-2000, 2000, width=32),
    st.floats(2.0**-6, 2.0**14, width=32),
    st.integers(0, 2**31),
)
def test_whole_numbers_turn_back_within_half_a_step(values: str, low: float, span: float, seed: int) -> None:
    made = (np.random.default_rng(seed).random((1, 5, 7)) * span + low).astype(np.float32)
    mapping = integer_mapping([made], ExportSettings(values=values), "HU")
    stored, clipped = mapping.stored(made)
    assert stored.dtype == np.dtype(values)
    assert clipped == 0
    rounding = np.abs(made).max() * 2.0**-23  # of float32, which the values come back in
    assert np.abs(mapping.values(stored) - made).max() <= mapping.step / 2 + rounding


@pytest.mark.parametrize("tiff", TIFFS)
@pytest.mark.parametrize("values", ["int16", "uint16", "uint8"])
def test_an_integer_export_states_its_mapping(tmp_path: Path, tiff: str, values: str) -> None:
    path, made = tmp_path / "out.tif", pages(3)
    made[:, :, :2, :2] = 90_000.0 if values == "int16" else 5000.0
    chosen: dict[str, Any] = {} if values == "int16" else {"map_low": -1000.0, "map_high": 3000.0}
    write_tiff(
        path, made, recipe(), METRICS, about=About(kind="iterates", unit="HU"),
        settings=ExportSettings(tiff=tiff, values=values, **chosen),
    )  # fmt: skip
    export = read_export(path)
    mapping = export.about.integer
    low, high = mapping.limits
    lowest, highest = (mapping.low + mapping.step * (n + half) for n, half in ((low, -0.5), (high, 0.5)))
    assert mapping.clipped == ((made < lowest) | (made > highest)).sum() > 0
    found, stored = read_pages(export)
    assert stored[0].dtype == np.dtype(values)
    inside = np.ones_like(made, bool) if values == "int16" else (made >= -1000) & (made <= 3000)
    inside &= made < 32767
    assert np.abs(np.stack(found) - made)[inside].max() <= mapping.step / 2 + 1e-3
    if tiff == "ImageJ":
        with tifffile.TiffFile(path) as file:
            said = file.imagej_metadata
            raw = file.asarray().astype(np.float64) + (
                32768 if values == "int16" else 0
            )  # as ImageJ reads it
        calibrated = said["c0"] + said["c1"] * raw
        assert (said["cf"], said["vunit"]) == (0, "HU")
        assert np.abs(calibrated.reshape(made.shape) - made)[inside].max() <= mapping.step / 2 + 1e-3


def test_whole_numbers_are_refused_where_they_would_lose_the_picture() -> None:
    small = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    with pytest.raises(SettingError, match="choose uint16"):
        integer_mapping([small], ExportSettings(values="int16"), "")
    with pytest.raises(SettingError, match="from a lower to a higher"):
        integer_mapping([small], ExportSettings(values="uint8", map_low=2.0), "")
    with pytest.raises(InputError, match="float32"):
        integer_mapping([small * np.nan], ExportSettings(values="uint8"), "")
    flat = integer_mapping([small * 0], ExportSettings(values="uint8"), "")
    assert flat.stored(small * 0)[0].max() == 0


@pytest.mark.parametrize("tiff", TIFFS)
def test_a_result_of_samples_comes_back(tmp_path: Path, tiff: str) -> None:
    path, made = tmp_path / "out.tif", pages(4, 3)
    write_result(
        path, made[0], made[1], recipe(), METRICS, (0.5, 0.5), (made[2], made[3]),
        about=About(unit="HU", window=(-1000, 1000), seconds=2.5, evaluations=7), settings=ExportSettings(tiff=tiff),
    )  # fmt: skip
    found = read_result(path)
    assert np.array_equal(np.stack([found.estimate, found.deviation, *found.interval]), made)
    about = found.about
    assert (about.unit, about.window, about.spacing) == ("HU", (-1000, 1000), (0.5, 0.5))
    assert (about.seconds, about.evaluations) == (2.5, 7)
    assert about.sha256 == pixels_sha256(made[0])


def test_a_sidecar_names_its_tiff_and_survives_without_it(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    write_tiff(path, awkward(), recipe(), METRICS, settings=ExportSettings(sidecar=True))
    beside = tmp_path / "out.json"
    export = read_export(beside)
    assert (export.file, export.about) == (path, read_export(path).about)
    assert np.array_equal(read_pages(export)[0][0], awkward())
    path.unlink()
    alone = read_export(beside)
    assert alone.file is None
    assert alone.about.sha256 == pixels_sha256(awkward())
    with pytest.raises(InputError, match="put it back"):
        read_pages(alone)


def test_a_sidecar_takes_the_place_of_another_sidecar_only(tmp_path: Path) -> None:
    path, beside = tmp_path / "scan.tif", tmp_path / "scan.json"
    beside.write_text('{"angles": [1, 2, 3]}', encoding="utf-8")
    with pytest.raises(InputError, match="that is another file"):
        write_tiff(path, awkward(), recipe(), METRICS, settings=ExportSettings(sidecar=True))
    assert "angles" in beside.read_text(encoding="utf-8")
    assert not path.exists()
    beside.unlink()
    for seed in (1, 2):
        write_tiff(path, awkward(), recipe(seed=seed), METRICS, settings=ExportSettings(sidecar=True))
        assert read_recipe(beside)[0].seed == seed


def test_a_sidecar_leads_to_no_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "out.tif"
    write_tiff(path, awkward(), recipe(), METRICS, settings=ExportSettings(sidecar=True))
    other = tmp_path / "other.tif"
    path.rename(other)
    beside = sidecar_path(path)
    found = json.loads(beside.read_text(encoding="utf-8"))
    beside.write_text(json.dumps(found | {"file": "../other.tif"}), encoding="utf-8")
    assert read_export(beside).file is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"recipe": {}}', '{"recipe": 3, "metrics": 4}', "[" * 100_000, "\x00"]
)
def test_other_json_carries_no_recipe(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert not carries_recipe(tmp_path / "a.json")
    with pytest.raises(InputError, match="carries no recipe"):
        read_export(tmp_path / "a.json")


@pytest.mark.parametrize("tiff", TIFFS)
def test_cut_files_are_one_sentence(tmp_path: Path, tiff: str) -> None:
    path = tmp_path / "out.tif"
    write_tiff(path, pages(2), recipe(), METRICS, settings=ExportSettings(tiff=tiff))
    whole = path.read_bytes()
    said = []
    for length in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:length])
        try:
            read_pages(read_export(path))
        except InputError as error:
            said.append(str(error))
    assert len(said) > 20
    assert all("out.tif" in sentence for sentence in said)


@pytest.mark.parametrize("tiff", TIFFS)
@pytest.mark.parametrize("sidecar", [False, True])
def test_a_full_disk_leaves_nothing_under_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiff: str, sidecar: bool
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_tiff(
            tmp_path / "o.tif",
            pages(3),
            recipe(),
            METRICS,
            settings=ExportSettings(tiff=tiff, sidecar=sidecar),
        )
    assert not list(tmp_path.iterdir())


_KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from padis_gui.core.exports import tiff as write
from tests.core.exports.test_write import METRICS, recipe
honest, done = write.np.ascontiguousarray, []
def kill(*arguments, **options):
    done.append(1)
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return honest(*arguments, **options)
write.np.ascontiguousarray = kill
write.write_tiff(Path(sys.argv[1]), np.ones((9, 1, 400, 400), np.float32), recipe(), METRICS)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_a_kill_between_two_pages_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "o.tif"
    write_tiff(path, pages(3), recipe(), METRICS)
    root = Path(__file__).resolve().parents[3]
    found = subprocess.run(
        [sys.executable, "-c", _KILLED, str(path)], env={**os.environ, "PYTHONPATH": str(root)}, check=False
    )
    assert found.returncode == -signal.SIGKILL
    assert np.array_equal(tifffile.imread(path), pages(3)[:, 0])
    atomic.remove_leftovers(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_long_stack_takes_no_memory_of_its_own(tmp_path: Path) -> None:
    page = np.zeros((1, 512, 512), np.float32)  # 1 MB, a hundred times
    tracemalloc.start()
    write_tiff(tmp_path / "o.tif", [page] * 100, recipe(), METRICS)
    write_tiff(tmp_path / "p.tif", [page] * 100, recipe(), METRICS, settings=ExportSettings(values="uint16"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "o.tif").stat().st_size > 100 * page.nbytes
    assert peak < 20 * page.nbytes


def test_pages_that_fail_on_the_way_leave_nothing(tmp_path: Path) -> None:
    made = [pages(1)[0], np.zeros((1, 5, 5), np.float32)]
    with pytest.raises(ValueError):
        write_tiff(tmp_path / "o.tif", made, recipe(), METRICS)
    assert not list(tmp_path.iterdir())


def test_imagej_says_where_its_convention_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from padis_gui.core.exports import tiff as write

    monkeypatch.setattr(write, "_CLASSIC", 1000)
    with pytest.raises(InputError, match="choose OME"):
        write_tiff(tmp_path / "o.tif", pages(3), recipe(), METRICS)
    write_tiff(tmp_path / "o.tif", pages(3), recipe(), METRICS, settings=ExportSettings(tiff="OME"))
    with tifffile.TiffFile(tmp_path / "o.tif") as file:
        assert file.is_bigtiff
        assert np.array_equal(file.asarray(), pages(3)[:, 0])
