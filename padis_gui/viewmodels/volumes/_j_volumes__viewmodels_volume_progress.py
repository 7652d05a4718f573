"""How far a volume is, from what its process tells."""

import math
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class VolumeProgress:
    """What has been told so far; ``psnr`` and ``residual`` are by page, of the latest pass.

    ``kept`` slices were there before, and say nothing of the pace.
    """

    pages: tuple[int, ...] = ()
    done: int = 0
    total: int = 0
    kept: int = 0
    current: str = ""
    smoothing: bool = False
    psnr: dict[int, float] = field(default_factory=dict)
    residual: dict[int, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    seconds_left: float = math.nan
    mean_psnr: float = math.nan
    unsmoothed_psnr: float = math.nan
    _since: float = math.nan
    _made: int = 0

    def take(self, event: dict[str, Any]) -> None:
        """Take an event in. Raises :class:`KeyError`, :class:`TypeError` or :class:`ValueError` for one that is none."""
        name = event.get("event")
        if name == "volume":
            self.pages = tuple(int(page) for page in event["pages"])
            self.total, self.kept = int(event["total"]), int(event["done"])
            self._since = time.monotonic()
        elif name == "step":
            self.current = f"page {int(event['page'])}, step {int(event['step'])} of {int(event['of'])}"
        elif name == "slice":
            self._take_slice(event)
        elif name == "failed":
            self.failures.append(f"page {int(event['page'])}: {event['trouble']}")
        elif name == "writing":
            self.current, self.seconds_left = "writing the volume", math.nan
        elif name == "done":
            means = [event["metrics"].get(name) for name in ("psnr", "psnr_unsmoothed")]
            self.mean_psnr, self.unsmoothed_psnr = (math.nan if m is None else float(m) for m in means)
            self.current = "it was finished already" if event["kept"] else ""

    def _take_slice(self, event: dict[str, Any]) -> None:
        page, smooth = int(event["page"]), bool(event["smooth"])
        self.done, self.total = int(event["done"]), int(event["total"])
        if smooth and not self.smoothing:
            self.smoothing, self._made, self._since = True, 0, time.monotonic()  # another pace
            self.psnr.clear()
            self.residual.clear()
        for found, name in ((self.psnr, "psnr"), (self.residual, "residual")):
            value = event["metrics"].get(name)
            if value is not None:
                found[page] = float(value)
        self.current = f"page {page}" + (" smoothed" if smooth else "")
        if not event["kept"]:
            self._made += 1
            left = self.total - self.done
            if not smooth and self.total > len(self.pages):
                left -= len(self.pages)  # the second pass takes next to nothing
            self.seconds_left = (time.monotonic() - self._since) / self._made * left
