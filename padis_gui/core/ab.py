"""A/B: two runs of one problem and one seed in step, and the classic faults as the other side.

Both runs are *paired* (see :class:`~padis_gui.core.recipe.Recipe`): the same start and the same fresh noise at every
step, so that what differs between their images comes from what differs between their settings.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from padis_gui.core.errors import DivergenceError
from padis_gui.core.recipe import Run
from padis_gui.core.settings import Settings, make
from padis_gui.core.settings_registry import Registry
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.tiling import TilingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What may differ between the two runs of a comparison."""

    tiling: TilingSettings
    solver: str
    settings: Settings
    positions: bool = True


@dataclass(frozen=True, slots=True)
class Turn:
    """The next iterate of one side, or the reason why that side cannot go on."""

    side: int
    iterate: Iterate | None
    failure: DivergenceError | None = None


def in_step(runs: Sequence[Run]) -> Generator[Turn, None, None]:
    """Advance the runs in turn, always the one that has come the smaller part of its way; the first leads.

    A run that diverges is left where it is, and the others go on. Closing this closes all of them.
    """
    going = dict(enumerate(runs))
    done = [0.0] * len(runs)
    try:
        while going:
            side = min(going, key=lambda i: (done[i], i))
            try:
                iterate = next(going[side])
            except StopIteration:
                del going[side]
                continue
            except DivergenceError as error:
                del going[side]
                yield Turn(side, None, error)
                continue
            done[side] = iterate.step / iterate.total
            yield Turn(side, iterate)
    finally:
        for run in runs:
            run.close()


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A registry record: a classic fault, as changes to a side that is free of it."""

    name: str
    label: str
    summary: str
    tiling: dict[str, Any]
    positions: bool = True

    def of(self, side: Side) -> Side:
        """That side with this fault; everything else stays."""
        tiling = make(TilingSettings, side.tiling.model_dump() | self.tiling)
        return replace(side, tiling=tiling, positions=side.positions and self.positions)


WHAT_IFS = Registry("fault", (
    WhatIf(
        "fixed", "Fixed tiling",
        "The grid stays where it is at every step, so that seams have no chance to average out",
        {"strategy": "fixed"},
    ),
    WhatIf(
        "no-positions", "No positions",
        "The network is told position 0 in every pixel instead of where its tile lies",
        {}, positions=False,
    ),
    WhatIf(
        "no-padding", "No padding",
        "M = 0: ⌈N/P⌉ tiles an axis lie inside the image, the last one pushed back into it and laid on top; "
        "such a grid has no room to move",
        {"strategy": "inside"},
    ),
))  # fmt: skip
find_what_if = WHAT_IFS.find
