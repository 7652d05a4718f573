"""TIFF: a page a slice, or ImageJ's stacks, which are one page with all slices behind it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.data.pages import Page, Pages, check_sides, page_of
from padis_gui.core.errors import InputError

KIND = "TIFF"


def open_tiff(path: Path, dataset: str) -> Pages:
    """A TIFF of any number of pages; only the directory of pages is read now."""
    import tifffile

    file = tifffile.TiffFile(path)
    try:
        return _Tiff(path, file)
    except BaseException:
        file.close()
        raise


class _Tiff(Pages):
    def __init__(self, path: Path, file: Any) -> None:
        super().__init__(path, KIND, file.close)
        self._path, self._file = path, file
        self._stack = _imagej_stack(file)
        self.count = len(file.pages) if self._stack is None else int(self._stack.shape[0])
        if not self.count:
            raise InputError(f"An image was wanted, but {path.name} has no pages; save it anew.")
        self._spacing = _spacing(file)
        self._whole: NDArray[Any] | None = None

    def _read(self, page: int) -> Page:
        if self._stack is not None:
            check_sides(self.name, self._stack.shape[1:])
            return page_of(self._slice(self._stack, page), self.name, spacing=self._spacing)
        source = self._file.pages[page]
        check_sides(self.name, (source.imagelength, source.imagewidth))
        values = source.asarray()
        if values.ndim == 3 and values.shape[0] in (3, 4) and values.shape[2] not in (3, 4):
            values = np.moveaxis(values, 0, 2)  # planar colour
        return page_of(_as_seen(values, source), self.name, spacing=self._spacing)

    def _slice(self, stack: Any, page: int) -> NDArray[Any]:
        """One slice of ImageJ's stack, which is read whole only where it does not lie in the file as it is."""
        if stack.dataoffset is None:
            if self._whole is None:
                self._whole = stack.asarray()
            return np.asarray(self._whole[page])
        rows, columns = stack.shape[1:]
        stored = np.dtype(self._file.byteorder + stack.dtype.char)
        offset = stack.dataoffset + page * rows * columns * stored.itemsize
        return np.array(np.memmap(self._path, stored, "r", offset, (rows, columns)))


def _imagej_stack(file: Any) -> Any | None:
    """The series of a stack of grey slices behind a single page."""
    if not (file.is_imagej and len(file.pages) == 1 and file.series and len(file.series[0].shape) == 3):
        return None
    series = file.series[0]
    return None if series.shape[-1] in (3, 4) else series


def _as_seen(values: NDArray[Any], page: Any) -> NDArray[Any]:
    """Colours of a palette looked up, and white-is-zero turned round."""
    kind = page.photometric.name if hasattr(page.photometric, "name") else ""
    if kind == "PALETTE" and page.colormap is not None and values.ndim == 2:
        palette = (np.asarray(page.colormap) >> 8).astype(np.uint8)
        return np.moveaxis(palette[:, values], 0, 2)
    if kind == "MINISWHITE" and values.dtype.kind == "u":
        return np.asarray(
            (1 << min(page.bitspersample, 8 * values.itemsize)) - 1 - values, dtype=values.dtype
        )
    if kind == "MINISWHITE" and values.dtype == np.bool_:
        return ~values
    return values


def _spacing(file: Any) -> tuple[float, float] | None:
    """Pixel pitch (rows, columns) in mm from an ImageJ file that states its unit."""
    metadata = file.imagej_metadata or {}
    millimetres = {"mm": 1.0, "cm": 10.0, "um": 1e-3, "µm": 1e-3, "micron": 1e-3, "\\u00B5m": 1e-3}
    scale = millimetres.get(str(metadata.get("unit", "")))
    if scale is None:
        return None
    pitches = []
    for tag in ("YResolution", "XResolution"):
        value = file.pages[0].tags.get(tag)
        if value is None or not value.value[0]:
            return None
        pitches.append(scale * value.value[1] / value.value[0])
    return pitches[0], pitches[1]
