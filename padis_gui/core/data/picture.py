"""PNG, JPEG, BMP and what else Pillow reads: one page."""

from pathlib import Path

import numpy as np

from padis_gui.core.data.pages import Page, Pages, check_sides, page_of
from padis_gui.core.errors import InputError

KIND = "picture"


def open_picture(path: Path, dataset: str) -> Pages:
    """A picture; its pixels are unpacked when they are read."""
    return _Picture(path)


class _Picture(Pages):
    def __init__(self, path: Path) -> None:
        super().__init__(path, KIND)
        self._path = path

    def sides(self, page: int) -> tuple[int, int] | None:
        """As its header says, turned as it will be."""
        from PIL import ExifTags
        from PIL import Image as Pillow

        with Pillow.open(self._path) as picture:
            columns, rows = picture.size
            turned = picture.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
        return (columns, rows) if turned else (rows, columns)

    def _read(self, page: int) -> Page:
        from PIL import Image as Pillow
        from PIL import ImageOps, UnidentifiedImageError

        try:
            with Pillow.open(self._path) as picture:
                check_sides(self.name, picture.size[::-1])
                ImageOps.exif_transpose(picture, in_place=True)  # cameras store how they were held
                if picture.mode in ("P", "LA", "PA", "CMYK", "YCbCr", "HSV", "RGBA"):
                    values = np.asarray(picture.convert("RGB" if picture.mode != "LA" else "L"))
                else:
                    values = np.asarray(picture)
        except UnidentifiedImageError:
            raise InputError(
                "An image (PNG, JPEG, BMP, TIFF, NPY, NPZ, MATLAB, HDF5, NIfTI or DICOM) was wanted, but "
                f"{self.name} is none that can be read; open an image file."
            ) from None
        deep = values.dtype.kind in "iu" and values.dtype.itemsize > 1
        white = 65535.0 if deep else 1.0 if values.dtype == np.bool_ else 255.0
        return page_of(values, self.name, window=(0.0, white))
