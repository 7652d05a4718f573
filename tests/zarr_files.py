"""OME-Zarr as others write it: an image in levels, in either version of Zarr."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

AXES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def multiscales(
    names: str = "tczyx",
    *,
    unit: str | None = "micrometer",
    scale: tuple[float, ...] = (1, 1, 2, 0.5, 0.25),
    levels: int = 2,
) -> list[dict[str, Any]]:
    """What NGFF 0.4 says of an image whose levels, "0", "1" …, are half as large each."""
    axes = [
        {"name": n, "type": AXES[n]} | ({"unit": unit} if unit and AXES[n] == "space" else {}) for n in names
    ]
    sets = []
    for level in range(levels):
        pitches = [
            pitch * 2**level if name in "yx" else pitch for name, pitch in zip(names, scale, strict=True)
        ]
        sets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": pitches}]})
    return [{"version": "0.4", "name": "made", "axes": axes, "datasets": sets}]


def write_ome_zarr(
    path: Path,
    stack: np.ndarray,
    version: int = 2,
    *,
    says: dict[str, Any] | None = None,
    levels: int = 2,
    **array: Any,
) -> Path:
    """``stack`` and its every second pixel as the levels of an image; ``array`` are options of zarr's own writer."""
    import zarr

    says = {"multiscales": multiscales(levels=levels)} if says is None else says
    with warnings.catch_warnings():  # of what is not yet in the specification
        warnings.simplefilter("ignore")
        attributes = says if version == 2 else {"ome": {"version": "0.5"} | says}
        group = zarr.open_group(path, mode="w", zarr_format=version, attributes=attributes)
        for level in range(levels):
            values = stack[..., :: 2**level, :: 2**level]
            options = {"chunks": (*(1,) * (values.ndim - 2), 16, 16)} | array
            group.create_array(str(level), shape=values.shape, dtype=values.dtype, **options)[...] = values
    return path


def change_json(path: Path, **changed: Any) -> Path:
    """Other fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    return path


def chunks_of(folder: Path) -> list[Path]:
    """The files of chunks below a folder."""
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name[-1:].isdigit())
