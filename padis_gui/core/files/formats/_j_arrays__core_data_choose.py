"""Which of several arrays in one file holds the images."""

from collections.abc import Mapping

from padis_gui.core.files.formats.pages import SMALLEST, shown
from padis_gui.core.settings.errors import InputError

_USUAL_NAMES = ("images", "image", "slices", "volume", "reconstruction", "recon", "data")
_LISTED = 8


def choose_array(shapes: Mapping[str, tuple[int, ...]], wanted: str, name: str) -> str:
    """The name of the array to read from the file ``name``: the one that is ``wanted``, or the obvious one.

    ``shapes`` are the file's arrays of real numbers. An array may be wanted by the last part of its name,
    where only one has it, and with dots for slashes. Obvious is an array that alone has the size of an image, or that alone
    among those is called images, image, slices, volume, reconstruction, recon or data. Raises
    :class:`InputError` with the names that there are.
    """
    if wanted:
        found = [n for n in shapes if _plain(n) == _plain(wanted)] or [
            n for n in shapes if _tail(n) == _plain(wanted)
        ]
        if len(found) == 1:
            return found[0]
        raise InputError(
            f"The array '{shown(wanted[:60])}' was wanted, but {name} holds {_listed(list(shapes))}; name one of those."
        )
    stacks = [n for n, shape in shapes.items() if 2 <= len(shape) <= 4]
    large = [n for n in stacks if sum(side >= SMALLEST for side in shapes[n]) >= 2] or stacks
    if len(large) == 1:
        return large[0]
    for usual in _USUAL_NAMES:
        found = [n for n in large if _tail(n).lower() == usual]
        if len(found) == 1:
            return found[0]
    if not large:
        raise InputError(
            f"An array of images was wanted, but {name} holds {_listed(list(shapes))}; open a file with images."
        )
    raise InputError(
        f"One array of images was wanted, but {name} holds {_listed(large)}; name the data set to read, or save "
        "it alone."
    )


def _plain(name: str) -> str:
    return name.strip("/").replace(".", "/")


def _tail(name: str) -> str:
    return _plain(name).rsplit("/", 1)[-1]


def _listed(names: list[str]) -> str:
    if not names:
        return "no array of real numbers"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(shown(n[:60]) for n in names[:_LISTED]) + more
