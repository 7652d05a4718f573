"""Scans that cannot be used are refused in one sentence; damaged ones end nothing but themselves."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.settings.errors import InputError, PadisError
from tests.scan_files import fan, parallel, write_exchange, write_htc, write_nxtomo

VIEWS, BINS = 30, 96
PARALLEL, FAN = parallel(VIEWS), fan(VIEWS)
NAN = np.full((VIEWS, 3, BINS), np.nan, np.float32)


def refused(path: Path, **reading: Any) -> str:
    """The one sentence with which a scan is refused."""
    with pytest.raises(PadisError) as caught:
        read_image(path, 0, ReadingSettings(**{"image_size": 32} | reading))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 450
    return sentence


EXCHANGE: dict[str, tuple[dict[str, Any], str]] = {
    "no angles": ({"leave_out": ("theta",)}, "angles"),
    "another number of angles": ({"theta": np.arange(29.0)}, "30 views .* has 29"),
    "angles that are none": ({"theta": np.full(VIEWS, np.nan)}, "Finite angles"),
    "no flats": ({"leave_out": ("data_white",)}, "Flat fields"),
    "no image in the flats": ({"data_white": np.zeros((0, 3, BINS), np.float32)}, "Flat fields"),
    "flats without light": ({"data_white": np.zeros((4, 3, BINS), np.float32)}, "brighter than the dark"),
    "flats as dark as the dark": ({"data_white": np.full((4, 3, BINS), 100, np.float32)}, "brighter than the dark"),
    "flats of another detector": ({"data_white": np.ones((4, 3, 40), np.float32)}, "3 x 40"),
    "darks of another detector": ({"data_dark": np.ones((4, 2, BINS), np.float32)}, "2 x 96"),
    "NaN": ({"data": NAN}, "NaN"),
    "NaN in the flats": ({"data_white": NAN[:2]}, "NaN"),
    "words for flats": ({"data_white": "bright"}, "Flat fields"),
    "too few bins": (
        {"data": np.ones((VIEWS, 3, 8), np.float32), "data_white": np.ones((1, 3, 8)), "data_dark": np.ones((1, 3, 8))},
        "30 views of 8 bins",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", EXCHANGE)
def test_data_exchange(tmp_path: Path, what: str) -> None:
    changed, expected = EXCHANGE[what]
    sentence = refused(write_exchange(tmp_path / "a.h5", PARALLEL, **changed))
    assert re.search(expected, sentence), sentence


FRAMES = VIEWS + 6
NXTOMO: dict[str, tuple[dict[str, Any], str]] = {
    "no angles": ({"leave_out": ("sample/rotation_angle",)}, "rotation angle"),
    "another number of angles": ({"sample/rotation_angle": np.arange(29.0)}, "36 views .* has 29"),
    "no projections": ({"instrument/detector/image_key": np.ones(FRAMES, int)}, "projections"),
    "no flats": ({"instrument/detector/image_key": np.zeros(FRAMES, int)}, "flat fields"),
    "another number of keys": ({"instrument/detector/image_key": np.zeros(5, int)}, "36 frames .* has 5"),
    "one picture": ({"instrument/detector/data": np.ones((30, 96))}, "rows x bins"),
}


@pytest.mark.parametrize("what", NXTOMO)
def test_nxtomo(tmp_path: Path, what: str) -> None:
    changed, expected = NXTOMO[what]
    sentence = refused(write_nxtomo(tmp_path / "a.nxs", PARALLEL, **changed))
    assert re.search(expected, sentence), sentence


HTC: dict[str, tuple[dict[str, Any], str]] = {
    "no angles": ({"leave_out": ("angles",)}, "angles"),
    "another number of angles": ({"angles": np.arange(29.0)}, "30 views .* has 29"),
    "no source": ({"leave_out": ("distanceSourceOrigin",)}, "distanceSourceOrigin"),
    "a source at the axis": ({"distanceSourceOrigin": 0.0}, "above 0"),
    "a detector before the axis": ({"distanceSourceDetector": 60.0}, "behind the axis"),
    "a source in the object": ({"distanceSourceOrigin": 1e-7}, "mind its units"),
    "distances without end": ({"distanceSourceDetector": np.inf}, "above 0"),
    "no bins": ({"leave_out": ("pixelSizePost", "pixelSize")}, "pixelSizePost"),
    "words": ({"pixelSizePost": "small", "pixelSize": "small"}, "pixelSizePost"),
}


@pytest.mark.parametrize("what", HTC)
def test_helsinki(tmp_path: Path, what: str) -> None:
    changed, expected = HTC[what]
    sentence = refused(write_htc(tmp_path / "a.mat", FAN, **changed))
    assert re.search(expected, sentence), sentence


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        ({"take_views": 31}, "31 views were wanted"),
        ({"angle_from": 400}, "Views from 400"),
        ({"angle_from": 90, "angle_to": 90}, "widen the range"),
        ({"binning": 16}, "lower the binning"),
        ({"scale_low": 1, "scale_high": 0.5}, "raise white"),
    ],
)
def test_reductions_that_leave_nothing(tmp_path: Path, reading: dict[str, Any], expected: str) -> None:
    assert expected in refused(write_htc(tmp_path / "a.mat", FAN), **reading)


def test_two_scans_want_a_choice(tmp_path: Path) -> None:
    import scipy.io

    for name in ("CtDataFull", "CtDataLimited"):
        write_htc(tmp_path / f"{name}.mat", FAN, name)
    both = {n: scipy.io.loadmat(tmp_path / f"{n}.mat")[n] for n in ("CtDataFull", "CtDataLimited")}
    scipy.io.savemat(tmp_path / "both.mat", both)
    assert "CtDataFull, CtDataLimited" in refused(tmp_path / "both.mat")
    image = read_image(tmp_path / "both.mat", 0, ReadingSettings(dataset="CtDataLimited", image_size=32))
    assert image.measured is not None


def test_a_header_that_promises_more_than_memory(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["implements"] = "exchange"
        file.create_dataset("exchange/data", (90_000, 2, 60_000), np.uint8, chunks=(1, 1, 60_000))
        file.create_dataset("exchange/data_white", (1, 2, 60_000), np.uint8)
        file["exchange/theta"] = np.arange(90_000.0)
    assert "readings" in refused(tmp_path / "a.h5")


def test_data_in_other_files_are_not_followed(tmp_path: Path) -> None:
    write_exchange(tmp_path / "other.h5", PARALLEL)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["implements"] = "exchange"
        for name in ("data", "data_white", "data_dark", "theta"):
            file[f"exchange/{name}"] = h5py.ExternalLink("other.h5", f"/exchange/{name}")
    refused(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["exchange"] = h5py.ExternalLink("other.h5", "/exchange")
    refused(tmp_path / "b.h5")


@pytest.mark.parametrize("write", [write_htc, write_exchange, write_nxtomo])
def test_damaged_files(tmp_path: Path, write: Callable[..., Path]) -> None:
    """Cut anywhere, or with bytes changed anywhere, a file is read or refused in one sentence."""
    whole = write(tmp_path / "whole", FAN if write is write_htc else PARALLEL).read_bytes()
    rng = np.random.default_rng(7)
    for n in range(24):
        data = bytearray(whole)
        if n % 3 == 0:
            data = data[: int(rng.integers(1, len(whole)))]
        else:
            for at in rng.integers(0, min(len(whole), 6000), 12):
                data[at] = rng.integers(0, 256)
        path = tmp_path / f"damaged{n}{'.mat' if write is write_htc else '.h5'}"
        path.write_bytes(data)
        try:
            read_image(path, 0, ReadingSettings(image_size=32))
        except PadisError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


def test_a_stack_that_is_only_called_so_is_an_image(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["exchange/data"] = np.random.default_rng(0).random((5, 20, 30), dtype=np.float32)
    assert read_image(tmp_path / "a.h5").measured is None
    path = write_exchange(tmp_path / "b.h5", PARALLEL, rows=20)
    with h5py.File(path, "a") as file:
        file["exchange/recon"] = np.zeros((4, 32, 32), np.float32)
    assert read_image(path, 0, ReadingSettings(dataset="recon")).measured is None
    with pytest.raises(InputError):
        read_image(path, 0, ReadingSettings(dataset="none"))
