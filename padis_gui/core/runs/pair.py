"""A/B: two runs of one problem and one seed in step, and the classic faults as the other side.

Both runs are *paired* (see :class:`~padis_gui.core.runs.recipe.Recipe`): the same start and the same fresh noise at every
step, so that what differs between their images comes from what differs between their settings.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.engine import Run
from padis_gui.core.runs.method import Method
from padis_gui.core.settings.declarations import Registry, make
from padis_gui.core.solvers.iterate import Iterate


@dataclass(frozen=True, slots=True)
class Turn:
    """The next iterate of one side, or the reason why that side cannot go on."""

    side: int
    iterate: Iterate | None
    failure: str = ""


def in_step(runs: Sequence[Run]) -> Generator[Turn, None, None]:
    """Advance the runs in turn, always the one that has come the smaller part of its way; the first leads.

    A run that fails is left where it is, and the others go on. Closing this closes all of them.
    """
    going = {number: run.steps() for number, run in enumerate(runs)}
    steps = list(going.values())
    done = [0.0] * len(runs)
    try:
        while going:
            side = min(going, key=lambda i: (done[i], i))
            iterate = next(going[side], None)
            if iterate is not None:
                done[side] = iterate.step / iterate.total
                yield Turn(side, iterate)
                continue
            del going[side]
            outcome = runs[side].outcome
            if outcome is not None and outcome.error is not None:
                yield Turn(side, None, outcome.sentence)
    finally:
        for each in steps:
            each.close()


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A registry record: a classic fault, as changes to a side that is free of it."""

    name: str
    label: str
    summary: str
    tiling: dict[str, Any]
    positions: bool = True

    def of(self, method: Method) -> Method:
        """That method with this fault; everything else stays."""
        tiling = make(TilingSettings, method.tiling.model_dump() | self.tiling)
        return replace(method, tiling=tiling, positions=method.positions and self.positions)


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
