"""Scans of a phantom, written in every layout that is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray

from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.physics.scanner import FanBeamCT, ParallelBeamCT
from tests.tiny import phantom

SIZE = 64
SOURCE, DETECTOR, WIDTH = 120.0, 60.0, 1.2  # mm
ABSORBS = 0.02  # the phantom's value 1, in 1/mm


@dataclass(frozen=True)
class Truth:
    """A sinogram (views, bins) of the phantom of 64 mm, and how it was taken: angles in degrees, centre in bins."""

    sinogram: NDArray[np.float32]
    angles: NDArray[np.float64]
    centre: float


def parallel(views: int = 90, arc: float = 180.0, bins: int = 96, centre: float = 0.0) -> Truth:
    """A bin is 1 mm."""
    angles = np.arange(views) * arc / views
    geometry = Geometry(beam="parallel", angles=angles, bins=bins, centre=centre, unit="pixels")
    A = ParallelBeamCT((1, SIZE, SIZE), geometry, pixel_size=1.0)
    return Truth((ABSORBS * A(phantom(SIZE)[None])[0]).numpy(), angles, centre)


def fan(
    views: int = 120, arc: float = 360.0, bins: int = 128, centre: float = 0.0, width: float = WIDTH
) -> Truth:
    """Lengths in mm: those above."""
    angles = np.arange(views) * arc / views
    A = FanBeamCT((1, SIZE, SIZE), Geometry(
        beam="fan", angles=angles, bins=bins, bin_width=width, centre=centre,
        source_distance=SOURCE, detector_distance=DETECTOR, unit="pixels",
    ), pixel_size=1.0)  # fmt: skip
    return Truth((ABSORBS * A(phantom(SIZE)[None])[0]).numpy(), angles, centre)


def write_htc(
    path: Path, truth: Truth, name: str = "CtDataFull", leave_out: tuple[str, ...] = (), **changed: Any
) -> Path:
    """The Helsinki Tomography Challenge's structure."""
    parameters = {
        "distanceSourceOrigin": SOURCE, "distanceSourceDetector": SOURCE + DETECTOR, "distanceUnit": "mm",
        "angles": truth.angles, "pixelSize": 0.05, "pixelSizePost": WIDTH, "numDetectorsPost": truth.sinogram.shape[1],
        "projectName": "phantom",
    } | changed  # fmt: skip
    kept = {n: v for n, v in parameters.items() if n not in leave_out}
    scan = {"type": "2D", "sinogram": truth.sinogram.astype(np.float64), "parameters": kept}
    scipy.io.savemat(path, {name: scan}, do_compression=True)
    return path


def counts_of(
    truth: Truth, rows: int = 1, flat: float = 20_000.0, dark: float = 100.0
) -> NDArray[np.float32]:
    """Noiseless counts (views, rows, bins); each row is the phantom thinned by its number: row r absorbs 1/(1 + r)."""
    thinned = truth.sinogram[:, None] / (1 + np.arange(rows))[None, :, None]
    return (dark + (flat - dark) * np.exp(-thinned)).astype(np.float32)


def write_exchange(
    path: Path, truth: Truth, rows: int = 3, flat: float = 20_000.0, dark: float = 100.0, units: str | None = "degrees",
    leave_out: tuple[str, ...] = (), **changed: Any,
) -> Path:  # fmt: skip
    """Data Exchange; ``changed`` replaces data sets of /exchange."""
    bins = truth.sinogram.shape[1]
    sets = {
        "data": counts_of(truth, rows, flat, dark),
        "data_white": np.full((4, rows, bins), flat, np.float32),
        "data_dark": np.full((3, rows, bins), dark, np.float32),
        "theta": truth.angles,
    } | changed  # fmt: skip
    with h5py.File(path, "w") as file:
        file["implements"] = "exchange:measurement"
        for name, values in sets.items():
            if name not in leave_out:
                file[f"exchange/{name}"] = values
        if "theta" not in leave_out and units is not None:
            file["exchange/theta"].attrs["units"] = units
        file["measurement/instrument/detector/pixel_size_x"] = 1e-3
        file["measurement/instrument/detector/pixel_size_x"].attrs["units"] = "m"
    return path


def write_nxtomo(
    path: Path, truth: Truth, rows: int = 3, flat: float = 20_000.0, dark: float = 100.0, entry: str = "entry",
    leave_out: tuple[str, ...] = (), **changed: Any,
) -> Path:  # fmt: skip
    """NXtomo, with darks first and flats before and after the projections."""
    views, bins = truth.sinogram.shape
    full, none = (np.full((2, rows, bins), level, np.float32) for level in (flat, dark))
    between = np.concatenate([np.zeros(4), truth.angles, np.full(2, truth.angles[-1])])
    sets = {
        "instrument/detector/data": np.concatenate([none, full, counts_of(truth, rows, flat, dark), full]),
        "instrument/detector/image_key": np.array([2, 2, 1, 1] + [0] * views + [1, 1]),
        "instrument/detector/x_pixel_size": 1000.0,
        "sample/rotation_angle": between,
    } | changed  # fmt: skip
    with h5py.File(path, "a") as file:
        group = file.create_group(entry)
        group.attrs["NX_class"] = "NXentry"
        group["definition"] = "NXtomo"
        for name, values in sets.items():
            if name not in leave_out:
                group[name] = values
        if "sample/rotation_angle" in group:
            group["sample/rotation_angle"].attrs["units"] = "degree"
        if "instrument/detector/x_pixel_size" in group:
            group["instrument/detector/x_pixel_size"].attrs["units"] = "um"
        if "instrument/detector/data" in group:
            group["data/data"] = h5py.SoftLink(f"/{entry}/instrument/detector/data")
    return path
