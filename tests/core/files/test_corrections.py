"""Corrections before reconstruction: clean data stay, each fault comes nearer to the clean scan, and is proposed."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from padis_gui.core.files.arrays import scan_of_array
from padis_gui.core.files.read import read_image
from padis_gui.core.files.scans.corrections import (
    blind_ends,
    corrected,
    find_bad_bins,
    find_zingers,
    proposals,
)
from padis_gui.core.images.corrections import CorrectionSettings
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.physics.geometry import Beam, Geometry
from padis_gui.core.physics.scanner import FanBeamCT, ParallelBeamCT
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, PadisError, SettingError
from tests.scan_files import ABSORBS, SIZE, Truth, counts_of, fan, parallel, write_exchange, write_htc
from tests.tiny import phantom

Values = NDArray[np.float32]
Fault = Callable[[Values, np.random.Generator], Values]


def _fine(beam: Beam) -> Truth:
    """A sinogram of the phantom of 64 pixels as a real detector sees it, with three bins in a pixel."""
    # no view along the pixels' edges or diagonals: there a model of square pixels jumps from ray to ray, as no object does
    angles = 0.3 + np.arange(180) * (1.0 if beam == "parallel" else 2.0)
    far = {} if beam == "parallel" else {"source_distance": 120.0, "detector_distance": 60.0}
    width = 0.35 if beam == "parallel" else 0.6
    geometry = Geometry(beam=beam, angles=angles, bins=288, bin_width=width, centre=0.0, unit="pixels", **far)
    kind = ParallelBeamCT if beam == "parallel" else FanBeamCT
    A = kind((1, SIZE, SIZE), geometry, pixel_size=1.0)
    return Truth((ABSORBS * A(phantom(SIZE)[None])[0]).numpy(), angles, 0.0)


CLEAN = {beam: _fine(beam) for beam in ("parallel", "fan")}
STRENGTH = {beam: float(np.sqrt(np.mean(truth.sinogram**2))) for beam, truth in CLEAN.items()}
NOISE = 0.01  # of the root mean square


def noisy(beam: str, rng: np.random.Generator, noise: float = NOISE) -> Values:
    clean = CLEAN[beam].sinogram
    return (clean + rng.normal(0, noise * STRENGTH[beam], clean.shape)).astype(np.float32)


def _zingers(values: Values, rng: np.random.Generator) -> Values:
    """A hundred readings far off, no two beside each other."""
    strength = float(np.sqrt(np.mean(values**2)))
    found = values.copy()
    views, bins = values.shape
    at = rng.choice((views // 3) * (bins // 3), 100, replace=False)
    rows, columns = 3 * (at // (bins // 3)) + 1, 3 * (at % (bins // 3)) + 1
    found[rows, columns] += rng.choice([-1, 1], 100) * rng.uniform(1.0, 3.0, 100) * strength
    return found


def _dead_and_hot(values: Values, rng: np.random.Generator) -> Values:
    """One bin stands at nothing, one far above, and one flickers; inside of the object."""
    found = values.copy()
    bins = values.shape[1]
    dead, hot, flickers = rng.choice(np.arange(bins // 4, 3 * bins // 4, 4), 3, replace=False)
    found[:, dead] = 0
    found[:, hot] = 2 * values.max()
    found[:, flickers] += rng.normal(0, float(values.max()), len(values))
    return found


def _stripes(values: Values, rng: np.random.Generator) -> Values:
    """Eight bins whose gain is off by some per cent."""
    offsets = np.zeros(values.shape[1])
    at = rng.choice(np.arange(12, values.shape[1] - 12, 3), 8, replace=False)
    offsets[at] = rng.choice([-1, 1], 8) * rng.uniform(0.03, 0.06, 8) * float(np.sqrt(np.mean(values**2)))
    return (values + offsets).astype(np.float32)


def _drift(values: Values, rng: np.random.Generator) -> Values:
    """The beam becomes weaker and stronger by some per cent."""
    turns = rng.uniform(0.5, 3.0) * np.arange(len(values))[:, None] / len(values)
    strength = float(np.sqrt(np.mean(values**2)))
    return (values + 0.05 * strength * np.sin(2 * np.pi * turns + rng.uniform(0, 6))).astype(np.float32)


# Of each correction what it is for: its setting, the fault, and which part of the added error may be left
FAULTS: dict[str, tuple[dict[str, Any], Fault, float]] = {
    "zingers": ({"zingers": True}, _zingers, 0.2),
    "bad_bins": ({"bad_bins": True}, _dead_and_hot, 0.2),
    "beam_drift": ({"beam_drift": True}, _drift, 0.4),
    "rings": ({"rings": "profile"}, _stripes, 0.85),
}
EACH = {
    "log_floor": {"log_floor": 1e-3},
    **{name: wanted for name, (wanted, _, _) in FAULTS.items()},
    "algotom": {"rings": "algotom"},
    "tilt": {"tilt": 0.5},
    "crop_bins": {"crop_bins": (3, 4)},
}
ALL = {"zingers": True, "bad_bins": True, "beam_drift": True, "rings": "profile"}
beams = pytest.mark.parametrize("beam", CLEAN)


def apart(one: Values, other: Values) -> float:
    return float(np.sqrt(np.mean((one.astype(np.float64) - other) ** 2)))


def test_every_correction_is_tried_here() -> None:
    """Off is the default of each, and says so by leaving the very same values."""
    own = {"zinger_threshold", "ring_width"}
    declared = set(CorrectionSettings.model_fields) - own
    assert declared == {name for wanted in EACH.values() for name in wanted}
    values = CLEAN["parallel"].sinogram
    assert corrected(values, CorrectionSettings()) == (values, ())


@beams
@pytest.mark.parametrize("name", FAULTS)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_fault_comes_nearer_to_the_clean_scan(beam: str, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted, fault, left = FAULTS[name]
    before = noisy(beam, rng)
    faulty = fault(before, rng)
    mended, notes = corrected(faulty, make(ReadingSettings, wanted))
    assert mended.shape == faulty.shape
    assert mended.dtype == np.float32
    assert notes
    assert apart(mended, before) < left * apart(faulty, before)
    assert apart(mended, CLEAN[beam].sinogram) < apart(faulty, CLEAN[beam].sinogram)


@beams
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("noise", [0.0, NOISE, 0.05])
def test_clean_data_are_left_alone(beam: str, name: str, noise: float) -> None:
    """What a correction changes in clean data is well below their noise, and 0.1 % without any."""
    values = noisy(beam, np.random.default_rng(3), noise)
    mended, _ = corrected(values, make(ReadingSettings, FAULTS[name][0]))
    tolerance = 0.3 * noise + 0.001
    assert apart(mended, values) <= tolerance * STRENGTH[beam]


@beams
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("seed", range(3))
def test_the_fault_is_proposed(beam: str, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted, fault, _ = FAULTS[name]
    faulty = fault(noisy(beam, rng), rng)
    found = {proposal.name: proposal for proposal in proposals(faulty, CorrectionSettings())}
    assert set(found) == {name}
    assert found[name].value == wanted[name]
    on = make(ReadingSettings, wanted)
    assert proposals(corrected(faulty, on)[0], on) == ()


@beams
@pytest.mark.parametrize("noise", [0.0, 0.002, NOISE, 0.05])
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_proposed_for_clean_data(beam: str, noise: float, seed: int) -> None:
    assert proposals(noisy(beam, np.random.default_rng(seed), noise), CorrectionSettings()) == ()


def test_counts_are_those_that_were_put_in() -> None:
    rng = np.random.default_rng(5)
    before = noisy("parallel", rng)
    faulty = _zingers(before, rng)
    assert np.array_equal(find_zingers(faulty, 8.0)[0], faulty != before)
    bad = _dead_and_hot(before, rng)
    assert np.array_equal(find_bad_bins(bad), (bad != before).any(axis=0))


# -- what has no size, no extent, no numbers --------------------------------------------------------------

_SIZES = [(1, 1), (1, 40), (40, 1), (2, 3), (15, 16), (16, 16), (17, 33)]


@pytest.mark.parametrize("name", [n for n in EACH if n not in ("tilt", "crop_bins", "log_floor", "algotom")])
@pytest.mark.parametrize("shape", _SIZES)
@pytest.mark.parametrize("level", [0.0, 1.0, -3e-30, 1e15])
def test_one_value_stays_what_it_is(name: str, shape: tuple[int, int], level: float) -> None:
    values = np.full(shape, level, dtype=np.float32)
    settings = make(ReadingSettings, EACH[name])
    mended, _ = corrected(values, settings)
    assert mended.shape == shape
    assert np.allclose(mended, values, rtol=1e-5, atol=0) or name == "beam_drift"
    assert np.isfinite(mended).all()
    assert all(found.name == "crop_bins" for found in proposals(values, CorrectionSettings()))


@pytest.mark.parametrize("name", [n for n in EACH if n != "tilt"])
def test_what_is_no_number_is_refused_or_replaced_before(tmp_path: Path, name: str) -> None:
    truth = parallel()
    readings = truth.sinogram.copy()
    readings[10, 20:24] = np.nan
    readings[11, 30] = np.inf
    path = write_htc(tmp_path / "a.mat", Truth(np.ascontiguousarray(readings), truth.angles, 0.0))
    with pytest.raises(InputError, match="5 that are NaN or infinite"):
        read_image(path, 0, make(ReadingSettings, {"image_size": SIZE} | EACH[name]))
    image = read_image(
        path, 0, make(ReadingSettings, {"image_size": SIZE, "not_finite": "replace"} | EACH[name])
    )
    assert np.isfinite(image.pixels).all()
    assert image.measured is not None
    assert any("5 numbers that were NaN or infinite" in note for note in image.measured.notes)


def test_algotom_is_asked_or_says_why_not() -> None:
    rng = np.random.default_rng(1)
    settings = make(ReadingSettings, {"rings": "algotom"})
    values = _stripes(noisy("parallel", rng), rng)
    mended, notes = corrected(values, settings)
    assert 0 < apart(mended, values) < 0.2 * STRENGTH["parallel"]
    assert "by algotom" in notes[0]
    for shape in _SIZES:
        try:
            mended, _ = corrected(np.ones(shape, dtype=np.float32), settings)
        except SettingError as error:
            assert "but it refused this scan" in str(error)  # noqa: PT017
        else:
            assert np.array_equal(mended, np.ones(shape))


def test_without_algotom_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "algotom.prep.removal", None)
    with pytest.raises(SettingError, match=r"pip install 'padis-gui\[rings\]'"):
        corrected(CLEAN["fan"].sinogram, make(ReadingSettings, {"rings": "algotom"}))


# -- order, geometry, tilt --------------------------------------------------------------------------------


def of(values: Values, angles: NDArray[np.float64], **reading: Any) -> Image:
    return scan_of_array(values, make(ReadingSettings, {"image_size": SIZE} | reading), {"angles": angles})


def measured(image: Image) -> Values:
    assert image.measured is not None
    return image.measured.values[0]


def test_the_order_is_the_declared_one() -> None:
    """All at once is each after the other, in the order of the settings."""
    rng = np.random.default_rng(2)
    values = noisy("parallel", rng)
    for _, fault, _ in FAULTS.values():
        values = fault(values, rng)
    at_once, notes = corrected(values, make(ReadingSettings, ALL))
    declared = [name for name in CorrectionSettings.model_fields if name in ALL]
    one_by_one, said = values, ()
    for name in declared:
        one_by_one, more = corrected(one_by_one, make(ReadingSettings, {name: ALL[name]}))
        said = (*said, *more)
    assert np.array_equal(at_once, one_by_one)
    assert notes == said
    turned = values
    for name in reversed(declared):
        turned = corrected(turned, make(ReadingSettings, {name: ALL[name]}))[0]
    assert not np.array_equal(at_once, turned)


@pytest.mark.parametrize("ends", [(8, 0), (0, 7), (5, 9)])
@pytest.mark.parametrize("binning", [1, 2])
def test_a_crop_leaves_the_axis_where_it_is(ends: tuple[int, int], binning: int) -> None:
    truth = parallel(bins=112, centre=1.5)
    whole = of(truth.sinogram, truth.angles, binning=binning)
    image = of(truth.sinogram, truth.angles, crop_bins=ends, binning=binning)
    assert image.measured is not None
    assert whole.measured is not None
    assert image.measured.problem["bins"] == (112 - sum(ends)) // binning
    column = {
        name: each["centre"] + (each["bins"] - 1) / 2
        for name, each in (("whole", whole.measured.problem), ("crop", image.measured.problem))
    }
    first = ends[0] + (112 - sum(ends)) % binning // 2
    assert column["crop"] == pytest.approx(
        column["whole"] - first / binning, abs=0.51 if binning > 1 else 1e-6
    )
    if binning == 1:
        assert np.array_equal(measured(image), truth.sinogram[:, ends[0] : 112 - ends[1]])


def test_too_large_a_crop_is_refused() -> None:
    truth = parallel()
    with pytest.raises(SettingError, match="crop of 50 and 40 leaves 6 of the 96"):
        of(truth.sinogram, truth.angles, crop_bins=(50, 40))


def test_blind_ends_are_proposed_to_be_cropped() -> None:
    values = noisy("parallel", np.random.default_rng(0))
    values[:, :5] = values[:, 5:6]  # filled from the neighbour, as dead bins are
    values[:, -3:] = 4.0
    assert blind_ends(values) == (5, 3)
    image = of(values, CLEAN["parallel"].angles)
    assert image.measured is not None
    assert [(p.name, p.value) for p in image.measured.proposals] == [("crop_bins", (5, 3))]


def leaning(truth: Truth, rows: int, tilt: float) -> Values:
    """Counts (views, rows, bins) of the same object in every row, whose axis leans by ``tilt`` degrees over the rows."""
    from scipy.ndimage import map_coordinates

    views, bins = truth.sinogram.shape
    down, across = np.mgrid[:rows, :bins] - np.array([(rows - 1) / 2, (bins - 1) / 2])[:, None, None]
    sin, cos = np.sin(np.deg2rad(tilt)), np.cos(np.deg2rad(tilt))
    at = across * cos - down * sin + (bins - 1) / 2  # each row is alike: only the place along the bins counts
    turned = np.stack([map_coordinates(view, [at], order=3, mode="nearest") for view in truth.sinogram])
    assert turned.shape == (views, rows, bins)
    return (100 + 19_900 * np.exp(-turned)).astype(np.float32)


@pytest.mark.parametrize("tilt", [2.0, -1.0])
@pytest.mark.parametrize("row", [0, 10, 20])
def test_a_tilt_is_turned_back(tmp_path: Path, tilt: float, row: int) -> None:
    truth = parallel(bins=128)
    path = write_exchange(tmp_path / "a.h5", truth, rows=21, data=leaning(truth, 21, tilt))
    leans = measured(read_image(path, row, make(ReadingSettings, {"image_size": SIZE})))
    image = read_image(path, row, make(ReadingSettings, {"image_size": SIZE, "tilt": tilt}))
    assert image.measured is not None
    assert any(f"turned back by {tilt:g}°" in note for note in image.measured.notes)
    within = apart(measured(image), truth.sinogram)
    assert within < 0.02 * STRENGTH["parallel"]
    assert row == 10 or within < 0.5 * apart(leans, truth.sinogram)


def test_a_tilt_takes_several_rows(tmp_path: Path) -> None:
    path = write_htc(tmp_path / "a.mat", fan())
    with pytest.raises(
        SettingError, match=r"takes the rows beside, and a\.mat has one row; set the tilt to 0"
    ):
        read_image(path, 0, make(ReadingSettings, {"tilt": 0.5}))


@pytest.mark.parametrize("kind", ["counts", "line integrals"])
def test_the_log_floor_holds(tmp_path: Path, kind: str) -> None:
    truth, floor = parallel(), 0.75
    if kind == "counts":
        path = write_exchange(tmp_path / "a.h5", truth, rows=1, data=counts_of(truth))
        image = read_image(path, 0, make(ReadingSettings, {"image_size": SIZE, "log_floor": floor}))
    else:
        image = of(truth.sinogram, truth.angles, log_floor=floor)
    most = np.float32(-np.log(floor))
    assert measured(image).max() == pytest.approx(most, rel=1e-6)
    assert np.allclose(measured(image), np.minimum(truth.sinogram, most), atol=2e-3)
    assert image.measured is not None
    assert any("below the log floor of 0.75" in note for note in image.measured.notes)


# -- numbers of strangers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted",
    [
        {"tilt": 1e9}, {"tilt": float("nan")}, {"ring_width": 2**40}, {"ring_width": 0}, {"log_floor": 0.0},
        {"log_floor": 2.0}, {"zinger_threshold": -1.0}, {"zinger_threshold": 1e300}, {"crop_bins": (1,)},
        {"crop_bins": (-1, 0)}, {"crop_bins": (0, 2**70)}, {"crop_bins": tuple(range(10_000))}, {"rings": "wavelet"},
        {"zingers": "perhaps"}, {"bad_bins": 7},
    ],
)  # fmt: skip
def test_numbers_of_strangers_are_bounded(wanted: dict[str, Any]) -> None:
    with pytest.raises(PadisError, match="must be"):
        make(ReadingSettings, wanted)
