"""How fast this machine is: measured once for each prior and patch size, corrected by every run, kept in a file."""

import hashlib
import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from padis_gui.core.prior.checkpoint import PriorRecord
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.estimate import Pace
from padis_gui.core.settings._j_files__core_atomic import write_atomically
from padis_gui.core.settings._j_machine__core_device import describe_device

log = logging.getLogger(__name__)

_LARGEST_FILE = 2**20
_KEPT = 200
# A run moves what is believed half of the way to what it took
_LEARNING = 0.5
_LEAST, _MOST = 0.2, 5.0


class _Measured(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
    patch: int = Field(ge=1)
    tile_seconds: float = Field(gt=0)
    batch_mb: float = Field(ge=0)


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)
    tiles: dict[str, _Measured] = {}
    factors: dict[str, float] = {}


def machine_and_prior(prior: PatchPrior, record: PriorRecord, patch: int) -> str:
    """What a measured pace belongs to: device, precision, network, patch size."""
    network = hashlib.sha256(record.network.model_dump_json().encode()).hexdigest()[:12]
    return f"{describe_device(prior.device)}|{prior.precision}|{network}|{patch}"


class Paces:
    """``folder`` is where they are kept; None keeps them for this object's life only."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = None if folder is None else folder / "paces.json"
        self._kept = self._read()

    def tile(self, key: str) -> Pace | None:
        """The pace that was measured for :func:`machine_and_prior`, if one was."""
        found = self._kept.tiles.get(key)
        if found is None:
            return None
        return Pace(patch=found.patch, tile_seconds=found.tile_seconds, batch_mb=found.batch_mb)

    def keep_tile(self, key: str, pace: Pace) -> None:
        """Remember a measured pace."""
        self._kept.tiles[key] = _Measured(
            patch=pace.patch, tile_seconds=max(pace.tile_seconds, 1e-9), batch_mb=pace.batch_mb
        )
        self._write()

    def factor(self, what: str) -> float:
        """How much longer than estimated runs of ``what`` take; 1 until one has ended."""
        return min(max(self._kept.factors.get(what, 1.0), _LEAST), _MOST)

    def learn(self, what: str, ratio: float) -> None:
        """A run of ``what`` has taken ``ratio`` times the uncorrected estimate."""
        believed = self._kept.factors.get(what)
        moved = ratio if believed is None else believed + _LEARNING * (ratio - believed)
        self._kept.factors[what] = min(max(moved, _LEAST), _MOST)
        self._write()

    def _read(self) -> _File:
        if self._path is None or not self._path.exists():
            return _File()
        try:
            if self._path.stat().st_size <= _LARGEST_FILE:
                return _File.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError) as error:
            log.warning("The measured times in %s cannot be used: %s", self._path, error)
        return _File()

    def _write(self) -> None:
        for table in (self._kept.tiles, self._kept.factors):
            while len(table) > _KEPT:
                del table[next(iter(table))]
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, self._kept.model_dump_json().encode())
        except OSError as error:
            log.warning("The measured times cannot be written to %s: %s", self._path, error)
