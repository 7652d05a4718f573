"""An exported TIFF in other formats: what a volume was written into, page by page, so that it need not fit into memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from padis_gui.core.exports.about import read_export
from padis_gui.core.exports.content import Stack
from padis_gui.core.exports.medical import write_dicom, write_nifti
from padis_gui.core.exports.zarr_folder import write_ome_zarr
from padis_gui.core.files.formats.open import open_pages
from padis_gui.core.files.formats.pages import Pages
from padis_gui.core.images.image import Pixels
from padis_gui.core.settings.errors import InputError

CONVERTERS: dict[str, Callable[[Path, Stack], str]] = {
    "nifti": write_nifti, "dicom": write_dicom, "ome-zarr": write_ome_zarr,
}  # fmt: skip


def convert(source: Path, kind: str, target: Path) -> str:
    """Write the result or volume that an exported TIFF holds as one of :data:`CONVERTERS`; returns what was written.

    Raises :class:`InputError` where the file holds something else, or the other cannot be written.
    """
    with stack_in(source) as stack:
        return CONVERTERS[kind](target, stack)


@contextmanager
def stack_in(source: Path) -> Iterator[Stack]:
    """The slices of an exported TIFF, each read when it is asked for. Raises :class:`InputError` for other files."""
    export = read_export(source)
    about = export.about
    if about.kind not in ("result", "volume") or export.file is None or about.window is None:
        raise InputError(
            f"A result or a volume was wanted, but {source.name} holds {about.kind}; export the result of its run."
        )
    with open_pages(export.file) as pages:
        yield Stack(
            planes=_Planes(pages, 1 if about.kind == "result" else pages.count), is_volume=about.kind == "volume",
            unit=about.unit, window=about.window, spacing=about.spacing, slice_spacing=about.slice_spacing,
            name=about.name or source.stem, recipe=export.recipe, metrics=export.metrics, about=about,
        )  # fmt: skip


class _Planes(Sequence[Pixels]):
    """Grey pages (rows, columns) of an open file."""

    def __init__(self, pages: Pages, count: int) -> None:
        self._pages, self._count = pages, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = range(self._count)[index]
        pixels = self._pages.read(at).pixels
        if len(pixels) != 1:
            raise InputError(
                f"Grey slices were wanted, but {self._pages.name} has colours; its TIFF is what there is of it."
            )
        return pixels[0]
