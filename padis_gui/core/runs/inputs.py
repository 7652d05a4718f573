"""The files that a run is made of, so that nothing is written over them."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from padis_gui.core.files.formats.folder import LISTING, files_beside, images_in
from padis_gui.core.files.formats.hdf5 import HDF5, linked_files
from padis_gui.core.files.formats.ome_zarr import is_zarr
from padis_gui.core.files.read import find_geometry
from padis_gui.core.files.scans.imported import read_beside
from padis_gui.core.runs.presets import bundled_folder
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.outputs import check_names, check_outputs

if TYPE_CHECKING:
    from padis_gui.core.runs.recipe import Recipe

# text that names the files of its readings, or belongs to a file without a head of its own
_HEADS = (".hdr", ".mhd", ".nhdr", *LISTING)


def check_run_outputs(inputs: Iterable[Path | None], outputs: Iterable[Path | None]) -> None:
    """As :func:`~padis_gui.core.settings.outputs.check_outputs`, with all that is read where an input is opened.

    What comes with the program is never written over either. Inputs have names that a recipe can hold.
    """
    wanted = dict.fromkeys(path for path in inputs if path is not None)
    check_names(*wanted)
    check_outputs([*(file for path in wanted for file in files_of(path)), bundled_folder()], outputs)


def inputs_of(recipe: "Recipe") -> list[Path]:
    """The files and folders that a recipe names: data, prior, and those of the problem."""
    data = recipe.data
    named = [*([data.file] if data is not None and data.file else []), recipe.prior.file, *recipe.files]
    if recipe.stack is not None and recipe.stack.across is not None:
        named.append(recipe.stack.across.file)
    return [Path(file) for file in named]


def files_of(path: Path) -> list[Path]:
    """The files that are read where ``path`` is opened: itself or the images of a folder, and what says how they were
    measured. Whether they are there is not asked.
    """
    found = [path]
    try:
        if os.path.isdir(path):
            found = found if is_zarr(path) else images_in(path)
        elif path.suffix.lower() in HDF5.suffixes:
            found += linked_files(path)
        elif any(path.with_suffix(head).is_file() for head in _HEADS):
            found += path.parent.glob(f"{path.stem}*")
            found += images_in(path.parent)
            found += files_beside(path)  # which may lie in a folder of their own
    except (InputError, OSError, ValueError):  # said when it is opened
        pass
    return found + _geometry_of(path)


def _geometry_of(path: Path) -> list[Path]:
    """The JSON that says how a scan was measured, and the flat and dark fields that it names."""
    geometry = find_geometry(path)
    if geometry is None:
        return []
    try:
        stated = read_beside(geometry)
    except InputError:
        return [geometry]
    return [
        geometry,
        *(path.with_name(field) for field in (stated.flat, stated.dark) if isinstance(field, str)),
    ]
