"""Finished slices on the disk: each in a file of its own with all that is known of it, there whole or not at all.

Nothing but these files says how far a volume has come. A killed process, or a lost machine, costs the slices in hand.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from padis_gui.core.images.image import Pixels
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import pixels_sha256, reason, remove_all_leftovers, write_atomically
from padis_gui.core.settings.tensors import TensorFile
from padis_gui.core.settings.untrusted import parse_json, read_json
from padis_gui.core.volumes.request import PARTS_SUFFIX, VolumeRequest, changed_fields, fingerprint

_HEAD, _FORMAT = "volume.json", "padis-gui volume"


class SliceRecord(BaseModel):
    """What is known of a finished slice; its pixels (C, rows, columns) are on the [0, 1] scale.

    ``made_from`` are the hashes of the estimates that a smoothed slice was made of, its own first; empty for a slice
    that stands alone. ``sha256`` is that of the pixels.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")

    page: int
    recipe: Recipe
    metrics: dict[str, float | None]
    seconds: float
    evaluations: int
    sha256: str
    spacing: tuple[float, float] | None = None
    z_smoothing: float = 0.0
    made_from: tuple[str, ...] = ()


class Parts:
    """The working folder of one volume: what is wanted, and a file for each slice that is finished."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, request: VolumeRequest) -> None:
        """Make the folder, or make sure that what is in it belongs to the same recipe, and say in it what is wanted.

        Raises :class:`InputError` where it does not, or where nothing can be written.
        """
        try:
            self.folder.mkdir(exist_ok=True)
            remove_all_leftovers(self.folder)
            before = self.request() if (self.folder / _HEAD).exists() else None
            if before is not None and fingerprint(before.template) != fingerprint(request.template):
                other = ", ".join(changed_fields(before.template, request.template))
                raise InputError(
                    f"Slices of this volume were looked for, but those in {self.folder} were made with other settings "
                    f"({other}); begin anew (--restart) to throw them away, or choose another name for the result."
                )
            found = {"format": _FORMAT, "version": 1, "request": request.model_dump(mode="json")}
            write_atomically(self.folder / _HEAD, (json.dumps(found, indent=1) + "\n").encode())
        except OSError as error:
            raise self._unusable(error) from None

    def request(self) -> VolumeRequest:
        """What was wanted when the folder was last used, with the result beside it wherever it is now.

        Raises :class:`InputError` where the folder holds nothing of the kind.
        """
        head = self.folder / _HEAD
        try:
            found = read_json(head)
            if (found["format"], found["version"]) != (_FORMAT, 1):
                raise ValueError("it is something else")
            request = VolumeRequest.model_validate(found["request"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"The finished slices of a volume were looked for, but {self.folder} holds none that can be used; choose "
                "another folder or another name for the result, or begin anew (--restart)."
            ) from None
        name = self.folder.name.removesuffix(PARTS_SUFFIX)
        return request.model_copy(update={"out": self.folder.absolute().with_name(name)})

    def path(self, page: int, *, smooth: bool = False) -> Path:
        """The file of a slice, finished or not."""
        return self.folder / f"{'smooth' if smooth else 'slice'}-{page:06d}.safetensors"

    def write(self, record: SliceRecord, pixels: Pixels) -> None:
        """Keep a slice. Raises :class:`InputError` where the disk does not take it."""
        from safetensors.numpy import save

        data = save({"estimate": np.ascontiguousarray(pixels)}, {"record": record.model_dump_json()})
        try:
            write_atomically(self.path(record.page, smooth=bool(record.made_from)), data)
        except OSError as error:
            raise self._unusable(error) from None

    def record(self, page: int, *, smooth: bool = False) -> SliceRecord | None:
        """What is known of a slice; None unless it is finished and its file is whole."""
        found = self._read(page, smooth=smooth)
        return None if found is None else found[0]

    def pixels(self, page: int, *, smooth: bool = False) -> Pixels:
        """The slice on the [0, 1] scale. Raises :class:`InputError` where it is gone."""
        found = self._read(page, smooth=smooth)
        if found is None:
            raise InputError(
                f"The finished slice of page {page} was wanted, but {self.path(page, smooth=smooth)} is gone or damaged; "
                "run the same command again."
            )
        return found[1]

    def _read(self, page: int, *, smooth: bool) -> tuple[SliceRecord, Pixels] | None:
        try:
            with TensorFile(self.path(page, smooth=smooth)) as file:
                record = SliceRecord.model_validate(parse_json(file.metadata["record"]))
                pixels: Pixels = file.read("estimate").numpy()
        except (OSError, KeyError, ValueError, ValidationError):
            return None
        whole = record.page == page and pixels.ndim == 3 and pixels_sha256(pixels) == record.sha256
        return (record, pixels) if whole else None

    def clear(self) -> None:
        """Remove what this class has written, and the folder where nothing else is in it."""
        with contextlib.suppress(OSError):
            remove_all_leftovers(self.folder)
            for name in [*self._names(), _HEAD]:
                (self.folder / name).unlink(missing_ok=True)
            self.folder.rmdir()

    def _names(self) -> list[str]:
        patterns = ("slice-??????.safetensors", "smooth-??????.safetensors")
        return [path.name for pattern in patterns for path in self.folder.glob(pattern)]

    def _unusable(self, error: OSError) -> InputError:
        return InputError(
            f"Finished slices were to be kept in {self.folder}, but it cannot be written or read ({reason(error)}); "
            "make room, or choose another place for the result. What is finished is kept."
        )


class StoredVolume(Sequence[Pixels]):
    """The finished slices in their image's unit, (C, rows, columns), each read when it is asked for."""

    def __init__(
        self, parts: Parts, pages: Sequence[int], *, smooth: bool, window: tuple[float, float], channels: int
    ) -> None:
        self._parts, self._pages, self._smooth = parts, pages, smooth
        self._low, self._scale = np.float32(window[0]), np.float32(window[1] - window[0])
        self._channels = channels

    def __len__(self) -> int:
        return len(self._pages)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        pixels = self._parts.pixels(self._pages[index], smooth=self._smooth) * self._scale + self._low
        return np.broadcast_to(pixels, (self._channels, *pixels.shape[1:]))
