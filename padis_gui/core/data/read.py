"""Reading one image from PNG, JPEG, TIFF, NPY or DICOM; every failure is one clear sentence."""

import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.data.image import HU_WINDOW, Image, propose_window
from padis_gui.core.errors import InputError, PadisError

SMALLEST, LARGEST = 16, 8192
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy", ".dcm")
_SIGNATURES = {
    b"II*\x00": "tiff", b"MM\x00*": "tiff", b"II+\x00": "tiff", b"MM\x00+": "tiff", b"\x93NUMPY": "npy",
}  # fmt: skip


def read_image(path: str | os.PathLike[str], page: int = 0, *, smallest: int = SMALLEST) -> Image:
    """Read page ``page`` (from 0) of an image file.

    Raises :class:`InputError` for anything that is not a finite image of ``smallest`` to 8192 pixels a side.
    """
    path = Path(path)
    kind = _kind(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # readers warn about oddities that do not concern the pixels
            image = _READERS[kind](path, page)
        if min(image.shape) < smallest:
            raise _wrong_size(path, image.pixels, smallest)
    except PadisError:
        raise
    except MemoryError:
        raise InputError(f"{path.name} needs more memory than there is; open a smaller image.") from None
    except Exception as error:  # any parser may fail in its own way on a broken file
        reason = str(error).split("\n")[0][:120] or type(error).__name__
        raise InputError(
            f"An image was wanted, but {path.name} is damaged or not a {kind.upper()} that can be read "
            f"({reason}); open another file or save it anew."
        ) from None
    return image


def count_pages(path: str | os.PathLike[str]) -> int:
    """How many pages an image file holds; 1 for all but multi-page TIFF and stacked NPY."""
    path = Path(path)
    kind = _kind(path)
    try:
        if kind == "tiff":
            import tifffile

            with tifffile.TiffFile(path) as file:
                return max(1, len(_tiff_planes(file)))
        if kind == "npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return int(array.shape[0]) if _npy_is_stack(array.shape) else 1
    except Exception:
        # reading a page will say what is wrong with the file
        return 1
    return 1


def _kind(path: Path) -> str:
    try:
        return _recognise(path)
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read ({error.strerror}); check its name and permissions."
        ) from None


def _recognise(path: Path) -> str:
    if path.is_dir():
        raise InputError(f"An image file was wanted, but {path} is a folder; open one of the files in it.")
    if not path.exists():
        raise InputError(f"An image file was wanted, but {path} does not exist; check the name.")
    if not path.is_file():
        raise InputError(
            f"An image file was wanted, but {path.name} is a device or pipe; save it to a file first."
        )
    with path.open("rb") as file:
        start = file.read(132)
    if not start:
        raise InputError(f"An image was wanted, but {path.name} is empty; get a fresh copy.")
    for signature, kind in _SIGNATURES.items():
        if start.startswith(signature):
            return kind
    return "dicom" if start[128:132] == b"DICM" or path.suffix.lower() == ".dcm" else "picture"


def _page_of(path: Path, page: int, pages: int) -> None:
    if not 0 <= page < pages:
        raise InputError(
            f"{path.name} has pages 0 to {pages - 1}, but page {page} was asked for; choose one of those."
        )


def _wrong_size(path: Path, pixels: NDArray[Any], smallest: int = SMALLEST) -> InputError:
    return InputError(
        f"An image of {smallest} to {LARGEST} pixels a side was wanted, but {path.name} has "
        f"{pixels.shape[1]} x {pixels.shape[2]}; crop or resize it."
    )


def _check(pixels: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """Channel-first float32 pixels from an array of (rows, columns) or (rows, columns, 3 or 4)."""
    if pixels.dtype.kind not in "biuf":
        raise InputError(
            f"An image of real numbers was wanted, but {path.name} holds {pixels.dtype}; save it as numbers."
        )
    if pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4):
        pixels = np.moveaxis(pixels[..., :3] if pixels.shape[2] == 4 else pixels, 2, 0)
    elif pixels.ndim == 2:
        pixels = pixels[None]
    else:
        raise InputError(
            f"An image of rows x columns (grey or RGB) was wanted, but {path.name} has the shape "
            f"{' x '.join(map(str, pixels.shape)) or 'of a single number'}; open a file with one image a "
            "page."
        )
    if not all(1 <= side <= LARGEST for side in pixels.shape[1:]):
        raise _wrong_size(path, pixels)
    values = np.ascontiguousarray(pixels, dtype=np.float32)
    bad = int(np.size(values) - np.count_nonzero(np.isfinite(values)))
    if bad:
        raise InputError(
            f"An image of finite numbers was wanted, but {path.name} has {bad} NaN or infinite pixels; "
            "replace them first."
        )
    return values


def _read_picture(path: Path, page: int) -> Image:
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    _page_of(path, page, 1)
    try:
        with Pillow.open(path) as picture:
            if max(picture.size) > LARGEST:
                raise InputError(
                    f"An image of at most {LARGEST} pixels a side was wanted, but {path.name} has "
                    f"{picture.size[1]} x {picture.size[0]}; crop or resize it."
                )
            if picture.mode in ("P", "LA", "PA", "CMYK", "YCbCr", "HSV", "RGBA"):
                raw = np.asarray(picture.convert("RGB" if picture.mode != "LA" else "L"))
            else:
                raw = np.asarray(picture)
    except UnidentifiedImageError:
        raise InputError(
            f"An image (PNG, JPEG, TIFF, NPY or DICOM) was wanted, but {path.name} is none that can be read; "
            "open an image file."
        ) from None
    pixels = _check(raw, path)
    window = (0.0, 65535.0) if raw.dtype.kind in "iu" and raw.dtype.itemsize > 1 else (0.0, 255.0)
    if raw.dtype == np.bool_:
        window = (0.0, 1.0)
    return Image(pixels=pixels, window=window, name=path.name)


def _tiff_planes(file: Any) -> list[tuple[Any, int]]:
    """(page, index) pairs: one entry for each 2-D plane of the file.

    ImageJ stores big stacks as one page with a larger series; others use a page a slice.
    """
    planes: list[tuple[Any, int]] = []
    if file.is_imagej and len(file.pages) == 1 and file.series and len(file.series[0].shape) == 3:
        series = file.series[0]
        if series.shape[-1] not in (3, 4):
            return [(series, i) for i in range(series.shape[0])]
    for page in file.pages:
        planes.append((page, -1))
    return planes


def _read_tiff(path: Path, page: int) -> Image:
    import tifffile

    with tifffile.TiffFile(path) as file:
        planes = _tiff_planes(file)
        if not planes:
            raise InputError(f"An image was wanted, but {path.name} has no pages; save it anew.")
        _page_of(path, page, len(planes))
        source, index = planes[page]
        shape = source.shape if index < 0 else source.shape[1:]
        if max(shape, default=0) > LARGEST:
            raise InputError(
                f"An image of at most {LARGEST} pixels a side was wanted, but {path.name} has "
                f"{' x '.join(map(str, shape))}; crop or resize it."
            )
        raw = source.asarray() if index < 0 else source.asarray()[index]
        if index < 0 and raw.ndim == 3 and raw.shape[0] in (3, 4) and raw.shape[2] not in (3, 4):
            raw = np.moveaxis(raw, 0, 2)  # planar colour
        spacing = _tiff_spacing(file)
        first, index = planes[0]
        signed = raw.dtype.kind in "if" and page > 0
        lowest = float((first.asarray() if index < 0 else first.asarray()[index]).min()) if signed else 0.0
    pixels = _check(raw, path)
    window, unit = propose_window(pixels, raw.dtype, lowest)
    return Image(
        pixels=pixels, unit=unit, window=window, spacing=spacing, name=path.name, page=page, pages=len(planes)
    )


def _tiff_spacing(file: Any) -> tuple[float, float] | None:
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


def _npy_is_stack(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[2] not in (3, 4)


def _read_npy(path: Path, page: int) -> Image:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    pages = int(array.shape[0]) if _npy_is_stack(array.shape) else 1
    _page_of(path, page, pages)
    raw = np.asarray(array[page]) if _npy_is_stack(array.shape) else np.asarray(array)
    pixels = _check(raw, path)
    window, unit = propose_window(pixels, raw.dtype)
    return Image(pixels=pixels, unit=unit, window=window, name=path.name, page=page, pages=pages)


def _read_dicom(path: Path, page: int) -> Image:
    import pydicom
    from pydicom.pixels.processing import apply_rescale

    dataset = pydicom.dcmread(path)
    if "PixelData" not in dataset:
        raise InputError(f"A DICOM image was wanted, but {path.name} holds no pixels; open an image slice.")
    raw = dataset.pixel_array
    pages = int(raw.shape[0]) if raw.ndim == 3 and int(dataset.get("SamplesPerPixel", 1)) == 1 else 1
    _page_of(path, page, pages)
    raw = raw[page] if pages > 1 else raw
    raw = apply_rescale(raw, dataset)
    pixels = _check(raw, path)
    is_ct = dataset.get("Modality", "") == "CT"
    window, unit = (HU_WINDOW, "HU") if is_ct else propose_window(pixels, raw.dtype)
    spacing = _dicom_spacing(dataset)
    return Image(
        pixels=pixels, unit=unit, window=window, spacing=spacing, name=path.name, page=page, pages=pages
    )


def _dicom_spacing(dataset: Any) -> tuple[float, float] | None:
    """Pixel pitch (rows, columns) in mm, where the file states one that can be."""
    try:
        rows, columns = (float(pitch) for pitch in dataset.PixelSpacing)
    except (AttributeError, TypeError, ValueError):
        return None
    return (rows, columns) if 0 < rows < math.inf and 0 < columns < math.inf else None


_READERS: dict[str, Callable[[Path, int], Image]] = {
    "picture": _read_picture,
    "tiff": _read_tiff,
    "npy": _read_npy,
    "dicom": _read_dicom,
}
