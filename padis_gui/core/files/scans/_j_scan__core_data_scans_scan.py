"""What every kind of scan file is read into: line integrals a detector row, and how they were measured."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.physics._j_geometry__core_physics_geometry import Geometry
from padis_gui.core.settings._j_files__core_closing import Closing
from padis_gui.core.settings.errors import InputError

Values = NDArray[np.float32]

FEWEST_BINS, MOST_BINS, MOST_VIEWS = 16, 65_536, 100_000
_MOST_READINGS = 2**28  # 1 GiB in float32


@dataclass(frozen=True, slots=True)
class Sinogram:
    """Line integrals (views, bins), float32, finite, and sentences on what was done to them."""

    values: Values
    notes: tuple[str, ...] = ()


class ScanFile(Closing):
    """An open scan; close it, or use it as a context manager.

    ``rows`` is how many detector rows it has, each of which makes a slice; ``kind`` names the layout. Lengths of the
    ``geometry`` are in mm where the file says them, else in bins; its centre is None where the file does not say it.
    """

    rows: int = 1

    def __init__(
        self, name: str, kind: str, geometry: Geometry, close: Callable[[], None] | None = None
    ) -> None:
        self.name, self.kind, self.geometry = name, kind, geometry
        self._close = close

    def read(self, row: int) -> Sinogram:
        """The line integrals of a detector row, from 0; the other rows are not loaded where the format allows.

        Raises :class:`InputError` for a row that there is not, and for readings that cannot be used.
        """
        if not 0 <= row < self.rows:
            raise InputError(
                f"{self.name} has detector rows 0 to {self.rows - 1}, but row {row} was asked for; choose one of those."
            )
        found = self._read(row)
        check_readings(self.name, found.values)
        return found

    @abstractmethod
    def _read(self, row: int) -> Sinogram:
        """``row`` lies within the count."""

    def close(self) -> None:
        """Let go of the file."""
        if self._close is not None:
            self._close()


def check_sizes(name: str, views: int, bins: int) -> None:
    """Raise :class:`InputError` unless a sinogram can have this size; ask before loading anything."""
    if not (1 <= views <= MOST_VIEWS and FEWEST_BINS <= bins <= MOST_BINS and views * bins <= _MOST_READINGS):
        raise InputError(
            f"A scan of 1 to {MOST_VIEWS} views of {FEWEST_BINS} to {MOST_BINS} bins (at most 2^28 readings a row) was "
            f"wanted, but {name} has {views} views of {bins} bins; check the order of its axes, or reduce it."
        )


def check_readings(name: str, values: NDArray[Any]) -> None:
    """Raise :class:`InputError` where not all readings are finite numbers."""
    bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        raise InputError(
            f"Finite readings were wanted, but {name} has {bad} that are NaN or infinite; replace them first."
        )


def checked_angles(name: str, angles: NDArray[Any], views: int) -> NDArray[np.float64]:
    """Angles (views,) in float64; raises :class:`InputError` where there are not as many as views, or not finite."""
    flat = np.asarray(angles, dtype=np.float64).ravel()
    if len(flat) != views:
        raise InputError(
            f"An angle for each of the {views} views was wanted, but {name} has {len(flat)}; correct its angles, or "
            "check the order of its axes."
        )
    if not np.all(np.isfinite(flat)) or np.abs(flat).max() > 1e6:
        raise InputError(
            f"Finite angles in degrees or radians were wanted, but those of {name} are not; correct them."
        )
    return flat


def positive(name: str, what: str, value: float) -> float:
    """A length or distance; raises :class:`InputError` where it cannot be one."""
    if not (np.isfinite(value) and 0 < value < 1e9):
        raise InputError(f"{what} above 0 was wanted, but {name} states {value:g}; correct it in the file.")
    return float(value)
