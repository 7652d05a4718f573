"""What a file that may hold several arrays of images holds: said without reading any of them."""

from dataclasses import dataclass

from padis_gui.core.data.layout import find_layout
from padis_gui.core.data.pages import SMALLEST, check_sides, shown
from padis_gui.core.errors import InputError

MOST_LISTED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """One array, series or channel that a file holds.

    ``name`` is what ``dataset`` takes to read it, ``shape`` and ``dtype`` are as stored, ``count`` is how many pages
    it has as images (0 where it cannot be used, for the reason in ``why_not``). ``description`` says what the file
    calls it where that is more than its name.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    count: int
    why_not: str = ""
    description: str = ""

    @property
    def usable(self) -> bool:
        """Whether it can be read as images."""
        return not self.why_not


def describe_array(name: str, shape: tuple[int, ...], dtype: str, *, pages_last: bool = False) -> DatasetInfo:
    """What is known of an array of numbers from its shape; ``pages_last`` as for :func:`find_layout`."""
    count, why_not = 0, ""
    try:
        layout = find_layout(shape, shown(name), pages_last=pages_last)
        check_sides(shown(name), layout.sides, SMALLEST)
        count = layout.count
        if not count:
            why_not = f"An image was wanted, but {shown(name)} holds none."
    except InputError as error:
        why_not = str(error)
    return DatasetInfo(name=name, shape=shape, dtype=dtype, count=count, why_not=why_not)


def not_numbers(name: str, shape: tuple[int, ...], dtype: str) -> DatasetInfo:
    """An array of something else than real numbers."""
    why_not = f"Real numbers were wanted, but {shown(name)} holds {dtype}."
    return DatasetInfo(name=name, shape=shape, dtype=dtype, count=0, why_not=why_not)
