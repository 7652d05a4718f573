"""HDF5, and MATLAB's v7.3, which is HDF5 with every array's axes reversed.

Links into other files may come from a stranger. They are refused, or followed on request as far as they lead to ordinary
files of the file's own folder, and so do those in these.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from padis_gui.core.files.formats.arrays import ArrayPages, choose_array, find_layout
from padis_gui.core.files.formats.format import MOST_LISTED, DatasetInfo, Format, describe_array, not_numbers
from padis_gui.core.files.formats.pages import Pages, display_name, shown
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import Closing
from padis_gui.core.settings.untrusted import check_ordinary

_MATLAB = b"MATLAB 7.3"
_LONGEST_CHAIN = 8  # of links
_MOST_LINKED = 1000  # files
_MOST_VISITED = 100_000
_MOST_SOURCES = 10_000  # of a virtual data set
_LARGEST_CHUNK = 2**29


class Hdf5File(Closing):
    """``path`` open to be read, with the filters at hand by which beamlines compress: bitshuffle, LZ4, Blosc, Zstandard …

    ``linked`` follows links into other files of its folder. Raises :class:`OSError` for what is no HDF5.
    """

    def __init__(self, path: Path, *, linked: bool = False) -> None:
        self.path, self.name, self.linked = path, display_name(path), linked
        self._folder = os.path.realpath(path.parent)
        self._others: dict[str, Any] = {}
        self.file = _open(path)
        self._sizes = {self.file: _size(self.file)}

    def close(self) -> None:
        """Let go of it, and of those that it links to."""
        for file in (self.file, *self._others.values()):
            file.close()

    def check_uncut(self) -> None:
        """Raise :class:`ValueError` where a file has been cut since it was opened: HDF5 reads 0 for what is gone."""
        if any(_size(file) < size for file, size in self._sizes.items()):
            raise ValueError("another program has cut it")

    @property
    def others(self) -> list[Path]:
        """The other files that links led to so far."""
        return [Path(other) for other in self._others]

    def item(self, path: str, above: Any = None) -> Any | None:
        """What is at ``path`` below a group; None for nothing, and for what is in another file where it is not to be
        followed. Raises :class:`InputError` where a link that is to be followed cannot be."""
        return self._item(self.file if above is None else above, path, _LONGEST_CHAIN)

    def group(self, path: str, above: Any = None) -> Any | None:
        """The group at ``path``; None where there is none."""
        import h5py

        found = self.item(path, above)
        return found if isinstance(found, h5py.Group) else None

    def data_set(self, path: str, above: Any = None) -> Any | None:
        """The data set of real numbers at ``path``; None where there is none."""
        import h5py

        found = self.item(path, above)
        if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "biuf" or found.shape is None:
            return None
        self.check(found, path)
        return found

    def _item(self, above: Any, path: str, links: int) -> Any | None:
        import h5py

        item = above.file if path.startswith("/") else above
        for part in filter(None, path.split("/")):
            link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
            if isinstance(link, h5py.SoftLink) and links > 0:
                item = self._item(item, link.path, links - 1)
            elif isinstance(link, h5py.ExternalLink) and self.linked and links > 0:
                item = self._item(self._other(link.filename, item), link.path, links - 1)
            else:
                item = item[part] if isinstance(link, h5py.HardLink) else None
            if item is None:
                return None
        return item

    def visit(self, look: Callable[[str, Any], bool | None]) -> None:
        """Call ``look`` with path and item of all that is in the file, until it gives anything but None."""
        if not self.linked:
            self.file.visititems(look)
            return
        import h5py

        seen: set[Any] = set()
        left = [("", self.file)]
        while left:
            above, group = left.pop()
            for name in group:
                path = f"{above}/{name}" if above else name
                item = (
                    None
                    if isinstance(group.get(name, getlink=True), h5py.SoftLink)
                    else self.item(name, group)
                )
                if item is None:
                    continue
                if len(seen) > _MOST_VISITED or look(path, item) is not None:
                    return
                known = h5py.h5o.get_info(item.id)
                if isinstance(item, h5py.Group) and (key := (known.fileno, known.addr)) not in seen:
                    seen.add(key)
                    left.append((path, item))

    def is_elsewhere(self, path: str, above: Any = None) -> bool:
        """Whether what is at ``path`` below a group is a link into another file, and not to be followed."""
        import h5py

        parent, _, last = path.rpartition("/")
        holder = self.item(parent, above) if parent else self.file if above is None else above
        if self.linked or not last or not isinstance(holder, h5py.Group):
            return False
        return isinstance(holder.get(last, getlink=True), h5py.ExternalLink)

    def refuse_elsewhere(self, path: str, above: Any = None) -> None:
        """Raise :class:`InputError` where it is elsewhere."""
        if self.is_elsewhere(path, above):
            raise self.elsewhere(path)

    def elsewhere(self, what: str) -> InputError:
        """The error for a link that is not followed unless asked for."""
        return InputError(
            f"Data inside {self.name} were wanted, but its {shown(what)} is a link into another file, and links are not "
            "followed unless that is asked for; follow those within its folder (Linked files: own-folder, or "
            "--linked-files own-folder), or copy the data into this file.",
            remedy="links",
        )

    def _other(self, name: str, holder: Any) -> Any:
        """The file to which a link in a file leads. Raises :class:`InputError` unless it is in the folder."""
        path = os.path.realpath(os.path.join(os.path.dirname(holder.file.filename), name))
        if path == os.path.realpath(self.path):
            return self.file
        if os.path.commonpath([path, self._folder]) != self._folder:
            raise InputError(
                f"Links within the folder of {self.name} were wanted, but one leads out of it to {shown(name)}; put that "
                "file beside it, and correct the link."
            )
        if path not in self._others:
            if len(self._others) == _MOST_LINKED:
                raise InputError(
                    f"Links into {_MOST_LINKED} files at most were wanted, but {self.name} has more; copy the data into it."
                )
            try:
                check_ordinary(Path(path))
                self._others[path] = _open(Path(path))
                self._sizes[self._others[path]] = _size(self._others[path])
            except OSError:
                raise InputError(
                    f"The file {shown(name)} to which {self.name} links was wanted beside it, but it is not there or is no "
                    "HDF5 file; put it there."
                ) from None
        return self._others[path]

    def check(self, data: Any, dataset: str, links: int = _LONGEST_CHAIN) -> None:
        """Raise :class:`InputError` where a data set points into files that are not to be read, is compressed in a way
        that cannot be undone here, or has absurd chunks."""
        if missing := _missing_filter(data):
            raise InputError(
                f"Numbers that can be unpacked were wanted, but {dataset} in {self.name} is compressed by the filter "
                f"{missing}, which is not installed here; save the file with gzip, or install that filter for HDF5."
            )
        if data.external:  # numbers in files of no format: any file is one
            raise InputError(
                f"Numbers inside {self.name} were wanted, but its data set {dataset} points into other files that are no "
                "HDF5; copy the numbers into this one."
            )
        if data.is_virtual:
            self._check_sources(data, dataset, links)
        size = data.dtype.itemsize
        for side in data.chunks or ():
            size *= side
        if size > _LARGEST_CHUNK:
            raise InputError(
                f"Chunks of at most 512 MiB were wanted, but those of {dataset} in {self.name} take {size >> 20}; "
                "save it with a page a chunk."
            )

    def _check_sources(self, data: Any, dataset: str, links: int) -> None:
        """The same for what a virtual data set is made of."""
        import h5py

        sources = {(source.file_name, source.dset_name) for source in data.virtual_sources()}
        if not self.linked and any(file != "." for file, _ in sources):
            raise self.elsewhere(dataset)
        if len(sources) > _MOST_SOURCES or links == 0 or any("%" in file for file, _ in sources):
            raise InputError(
                f"A data set made of at most {_MOST_SOURCES} others was wanted, but {dataset} in {self.name} is made of "
                "more, of others that are made of others, or of numbered ones; copy the numbers into this file."
            )
        for file, name in sources:
            holder = data.file if file == "." else self._other(file, data)
            part = self.item(name, holder)
            if isinstance(part, h5py.Dataset):
                self.check(part, name, links - 1)


def _open(path: Path) -> Any:
    import h5py
    import hdf5plugin  # noqa: F401 - registers its filters with HDF5

    return h5py.File(path, "r", locking=False)


def _size(file: Any) -> int:
    """In bytes, of the file that is open; another may have its name by now."""
    return os.fstat(file.id.get_vfd_handle()).st_size


def linked_files(path: Path) -> list[Path]:
    """The other files of its folder to which an HDF5 file links; those that cannot be read are left out."""
    import h5py

    found: dict[Path, None] = {}
    try:
        with Hdf5File(path, linked=True) as source:

            def look(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset) and item.is_virtual:
                    source.check(item, name)

            source.visit(look)
            found = dict.fromkeys(source.others)
    except (OSError, InputError, RuntimeError, ValueError):  # said where it is read
        pass
    real = os.path.realpath(path.parent)
    return [path.parent / os.path.relpath(other, real) for other in found]


_LARGEST_ATTRIBUTE = 4096  # bytes, and values
_REFERENCE = 16  # bytes that stand for a text of any length


def read_attribute(item: Any, name: str) -> Any:
    """A short attribute of texts or numbers; None where there is none, and for what is of another sort.

    HDF5 itself crashes on others in damaged files, and no attribute that has a meaning here is one of them.
    """
    import h5py

    if name not in item.attrs:
        return None
    stored = item.attrs.get_id(name)
    kind, size, count = (
        stored.get_type(),
        stored.get_storage_size(),
        stored.get_space().get_simple_extent_npoints(),
    )
    if size > _LARGEST_ATTRIBUTE or count > _LARGEST_ATTRIBUTE:
        return None
    if kind.get_class() == h5py.h5t.STRING:
        readable = not kind.is_variable_str() or size == _REFERENCE * max(1, count)
    else:
        readable = kind.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT)
    return item.attrs[name] if readable else None


def _missing_filter(data: Any) -> str:
    """Name and number of a filter that a data set needs and that HDF5 does not have here; empty where there is none."""
    import h5py

    created = data.id.get_create_plist()
    for number in range(created.get_nfilters()):
        code, _, _, name = created.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            known = shown(name.decode("utf-8", "replace").strip("\0 "))
            return f"{known} ({code})" if known else f"{code}"
    return ""


def open_hdf5(path: Path, dataset: str, *, linked: bool = False) -> Pages:
    """The data set called ``dataset``, or the obvious one; a page is read when it is asked for.

    ``linked`` follows links into other files of the file's folder.
    """
    file, matlab = _opened(path, linked=linked)
    try:
        found = {n: d for n, d in _arrays(file).items() if _is_numeric(d)}
        if link := _only_elsewhere(file, found, dataset):
            raise file.elsewhere(link)
        name = choose_array({n: d.shape for n, d in found.items()}, dataset, display_name(path))
        data = found[name]
        file.check(data, name)
        shape = data.shape[::-1] if matlab else data.shape
        layout = find_layout(shape, display_name(path), pages_last=matlab)
        unit, pitches = _scale(data)
        return ArrayPages(
            path, HDF5.kind, data, layout, reversed_axes=matlab, unit=unit, pitches=pitches, close=file.close,
            check=file.check_uncut,
        )  # fmt: skip
    except BaseException:
        file.close()
        raise


def list_hdf5(path: Path) -> tuple[DatasetInfo, ...]:
    """Every data set of the file, also those that cannot be used."""
    file, matlab = _opened(path)
    with file:
        found = []
        for name, data in _arrays(file).items():
            shape = tuple(int(n) for n in (data.shape[::-1] if matlab else data.shape))
            kind = str(data.dtype)[:60]
            found.append(
                describe_array(name, shape, kind, pages_last=matlab)
                if _is_numeric(data)
                else not_numbers(name, shape, "text" if data.dtype.kind in "OSU" else kind)
            )
        return tuple(found)


def _opened(path: Path, *, linked: bool = False) -> tuple[Hdf5File, bool]:
    """The open file, and whether MATLAB wrote it."""
    with path.open("rb") as start:
        matlab = start.read(len(_MATLAB)) == _MATLAB
    return Hdf5File(path, linked=linked), matlab


def _arrays(source: Hdf5File) -> dict[str, Any]:
    """Every data set that has axes."""
    import h5py

    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> bool | None:
        # MATLAB keeps the inside of cells and objects under names with a hash
        if isinstance(item, h5py.Dataset) and item.shape and "#" not in name:
            found[name] = item
        return True if len(found) >= MOST_LISTED else None  # anything but None ends the visit

    source.visit(visit)
    return found


def _only_elsewhere(source: Hdf5File, found: dict[str, Any], dataset: str) -> str:
    """The link into another file that is meant, where nothing else is; empty where there is none."""
    if dataset:
        return dataset if dataset not in found and source.is_elsewhere(dataset) else ""
    if found:
        return ""
    links: list[str] = []

    def look(name: str, link: Any) -> bool | None:
        if source.is_elsewhere(name):
            links.append(name)
        return True if links else None

    source.file.visititems_links(look)
    return links[0] if links else ""


def _scale(data: Any) -> tuple[str, tuple[float, ...]]:
    """The unit of the numbers, and the pitch of each axis in mm as ImageJ's and ilastik's writers note it."""
    unit, pitches = read_attribute(data, "units"), read_attribute(data, "element_size_um")
    unit = unit.decode(errors="replace") if isinstance(unit, bytes) else unit
    try:
        millimetres = tuple(float(pitch) / 1000 for pitch in np.ravel(pitches))
    except (TypeError, ValueError):
        millimetres = ()
    usable = len(millimetres) == 3 == data.ndim and all(0 < pitch < np.inf for pitch in millimetres)
    return (shown(unit[:20]) if isinstance(unit, str) else ""), millimetres if usable else ()


def _is_numeric(data: Any) -> bool:
    return data.dtype.kind in "biuf"


HDF5 = Format(
    kind="HDF5 file",
    names=("HDF5",),
    suffixes=(".h5", ".hdf5", ".nxs"),
    signatures=((0, b"\x89HDF\r\n\x1a\n"),),
    by_name=True,  # it may begin with a block of the user's own
    open_pages=open_hdf5,
    open_linked=partial(open_hdf5, linked=True),
    list_datasets=list_hdf5,
)
