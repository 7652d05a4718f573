"""Results as OME-Zarr: a folder of chunks in several resolutions, for viewers that load what they show.

It is NGFF 0.4 (ngff.openmicroscopy.org/0.4) in Zarr's version 2, which more programs read than later ones: axes z, y and x
(of colours c, y and x), levels of half the width and height each, their pitch and place in mm.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.exports.about import envelope, known_metrics
from padis_gui.core.exports.content import RunContent, Stack
from padis_gui.core.exports.settings import FileSettings
from padis_gui.core.files.formats.ome_zarr import OWN_ATTRIBUTE
from padis_gui.core.settings.files import failures_said, writing_folder

_SMALLEST = 128  # px, of the longer side of the last level
_CHUNK = 512  # px, of a side
_COMPRESSION = 5
_VERSION = "0.4"


def export_ome_zarr(run: RunContent, path: Path, settings: FileSettings) -> str:
    """Write the image or volume as :func:`write_ome_zarr` does; returns what was written."""
    return write_ome_zarr(path, Stack.of(run))


def write_ome_zarr(path: Path, stack: Stack) -> str:
    """Write a folder of float32, exactly the result, slice by slice; returns what was written.

    The folder is there whole or not at all, and never in the place of one that holds something. What the file says of its
    run, the recipe included, is in its attributes. Raises :class:`~padis_gui.core.settings.errors.InputError`.
    """
    import zarr
    from numcodecs import Blosc

    depth, rows, columns = stack.shape
    lead: tuple[int, ...] = (depth,) if stack.is_volume or depth > 1 else ()
    sides = _sides(rows, columns)
    with failures_said("The result", path), writing_folder(path) as folder:
        group = zarr.open_group(folder, mode="w", zarr_format=2)
        arrays = [
            group.create_array(
                str(level), shape=(*lead, *side), chunks=(*(1 for _ in lead), *(min(_CHUNK, n) for n in side)),
                dtype="<f4", compressors=Blosc(cname="zstd", clevel=_COMPRESSION, shuffle=Blosc.SHUFFLE), fill_value=0.0,
                chunk_key_encoding={"name": "v2", "separator": "/"},
            )
            for level, side in enumerate(sides)
        ]  # fmt: skip
        for at, plane in enumerate(stack.planes):
            for array, values in zip(arrays, _levels(plane, len(sides)), strict=True):
                array[(at, ...) if lead else ...] = values
        # at the end, so that whoever looks into an unfinished folder finds no image
        (folder / ".zattrs").write_text(
            json.dumps(_attributes(stack, path.name, len(sides)), indent=1), "utf-8"
        )
    levels = f" in {len(sides)} resolutions" if len(sides) > 1 else ""
    return f"OME-Zarr in float32{levels}, with the recipe of its run"


def _sides(rows: int, columns: int) -> list[tuple[int, int]]:
    """(rows, columns) of every level."""
    found = [(rows, columns)]
    while max(found[-1]) > _SMALLEST and min(found[-1]) > 1:
        found.append((found[-1][0] // 2, found[-1][1] // 2))
    return found


def _levels(plane: NDArray[np.float32], count: int) -> Iterator[NDArray[np.float32]]:
    """A plane, and the means of its 2 by 2 pixels, of theirs, …; a row or column that is left over is left out."""
    yield plane
    for _ in range(count - 1):
        rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
        fours = plane[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2)
        plane = fours.mean(axis=(1, 3), dtype=np.float64).astype(np.float32)
        yield plane


def _attributes(stack: Stack, name: str, levels: int) -> dict[str, Any]:
    """What NGFF says of an image, how a viewer is to show it, and what the program says of the run."""
    known = stack.spacing is not None
    down, across = stack.spacing or (1.0, 1.0)
    apart = (stack.slice_spacing or 1.0) if stack.is_volume else 1.0
    unit = {"unit": "millimeter"} if known else {}
    axes: list[dict[str, str]] = [{"name": n, "type": "space", **unit} for n in "yx"]
    if stack.is_volume:
        axes.insert(0, {"name": "z", "type": "space", **unit})
    elif len(stack.planes) > 1:
        axes.insert(0, {"name": "c", "type": "channel"})
    lead = [apart] * (len(axes) - 2)
    datasets = []
    for level in range(levels):
        factor = 2**level
        # the middle of a larger pixel lies between the middles of those that it was made of
        aside = (factor - 1) / 2
        datasets.append({
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [*lead, down * factor, across * factor]},
                {"type": "translation", "translation": [*(0.0 for _ in lead), down * aside, across * aside]},
            ],
        })  # fmt: skip
    low, high = stack.window
    colours = ("FF0000", "00FF00", "0000FF") if len(axes) == 3 and not stack.is_volume else ("FFFFFF",)
    channels = [
        {"label": stack.unit or "value", "color": colour, "active": True,
         "window": {"min": low, "max": high, "start": low, "end": high}}
        for colour in colours[: len(stack.planes)]
    ]  # fmt: skip
    about = stack.about
    if not about.sha256 and about.kind == "result":
        about = about.model_copy(update={"sha256": stack.sha256})
    return {
        "multiscales": [{
            "version": _VERSION, "name": stack.name or name, "axes": axes, "datasets": datasets, "type": "mean",
        }],
        "omero": {"version": _VERSION, "channels": channels},
        OWN_ATTRIBUTE: envelope(stack.recipe, known_metrics(stack.metrics), about),
    }  # fmt: skip
