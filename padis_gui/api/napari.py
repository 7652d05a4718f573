"""What this program exported as layers of napari: pages as a stack, tilings as rectangles, the run in the metadata.

napari finds it by the manifest beside the package (napari.yaml). A layer's data are what the file holds, in the image's
unit, its scale is in mm where that is known, and its contrast is the window.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from padis_gui.core.exports.about import About, Export, carries_recipe, read_export, read_pages
from padis_gui.core.exports.tiff import SAMPLE_LABELS
from padis_gui.core.images.image import Pixels

Layer = tuple[Any, dict[str, Any], str]  # data, settings of the layer, and its kind
_MOST_RECTANGLES = 4000  # that napari lays out in some seconds


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[Layer]] | None:
    """The reader of an exported TIFF; None of other files, which other readers of napari take."""
    files = [path] if isinstance(path, str) else list(path)
    return read_layers if files and all(carries_recipe(Path(file)) for file in files) else None


def read_layers(path: str | Sequence[str]) -> list[Layer]:
    """The layers of one exported TIFF or of several.

    Raises :class:`~padis_gui.core.settings.errors.InputError` where a file cannot be read.
    """
    return [layer for file in ([path] if isinstance(path, str) else path) for layer in _layers(Path(file))]


def _layers(path: Path) -> list[Layer]:
    export = read_export(path)
    pages, _ = read_pages(export)
    about, metadata = export.about, _metadata(export)
    if about.kind == "result":
        # an estimate, and what is known of its samples
        names = SAMPLE_LABELS if len(pages) > 1 else ("",)
        named = [f"{path.stem} {name}".strip() for name in names[: len(pages)]]
        return [
            _image([page], about, name, metadata, stack=False, windowed=n != 1)
            for n, (page, name) in enumerate(zip(pages, named, strict=True))
        ]
    layers = [_image(pages, about, path.stem, metadata, stack=len(pages) > 1)]
    if any(about.tilings):
        layers.append(_shapes(about, f"{path.stem} tiling", stack=len(pages) > 1))
    return layers


def _image(
    pages: Sequence[Pixels],
    about: About,
    name: str,
    metadata: dict[str, Any],
    *,
    stack: bool,
    windowed: bool = True,
) -> Layer:
    """A layer of pages (C, rows, columns); ``windowed`` where their values are those of the image."""
    data = np.stack(pages)
    coloured = data.shape[1] == 3
    data = np.moveaxis(data, 1, 3) if coloured else data[:, 0]
    if coloured and about.window is not None:  # as napari shows colours
        low, high = about.window
        data = np.clip((data - low) / (high - low), 0, 1)
    settings: dict[str, Any] = {"name": name, "metadata": metadata, "scale": _scale(about, stack=stack)}
    if coloured:
        settings["rgb"] = True
    elif about.window is not None and windowed:
        settings["contrast_limits"] = about.window
    return (data if stack else data[0]), settings, "image"


def _scale(about: About, *, stack: bool) -> tuple[float, ...]:
    apart = (about.slice_spacing or 1.0) if about.kind == "volume" else 1.0
    return (*((apart,) if stack else ()), *(about.spacing or (1.0, 1.0)))


def _shapes(about: About, name: str, *, stack: bool) -> Layer:
    """The tiles of each page as rectangles, along the middles of the pixels at their edges."""
    rectangles: list[Any] = []
    left_out = 0
    for page, tiling in enumerate(about.tilings):
        tiles = [] if tiling is None else list(tiling.tiles)
        if len(rectangles) + len(tiles) > _MOST_RECTANGLES:
            left_out += 1
            continue
        for row, column in tiles:
            side = tiling.patch - 1 if tiling is not None else 0
            corners = [(row, column), (row, column + side), (row + side, column + side), (row + side, column)]
            rectangles.append([((page,) if stack else ()) + corner for corner in corners])
    settings = {
        "name": name, "shape_type": "rectangle", "face_color": "transparent", "edge_color": "orange", "edge_width": 0.5,
        "scale": _scale(about, stack=stack), "metadata": {"pages without": left_out},
    }  # fmt: skip
    return np.array(rectangles, dtype=np.float64), settings, "shapes"


def _metadata(export: Export) -> dict[str, Any]:
    """Metrics, recipe, and what the file says of its pages."""
    about = export.about.model_dump(mode="json", exclude_defaults=True, exclude={"tilings"})
    return {
        "metrics": dict(export.metrics), "recipe": export.recipe.model_dump(mode="json"), "about": about,
        "labels": list(export.about.labels),
    }  # fmt: skip
