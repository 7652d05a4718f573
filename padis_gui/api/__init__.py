"""The public API, for ``import padis_gui as pg``: open an image, state a problem, reconstruct, save.

It is thin over :class:`~padis_gui.core.runs.method.Method` and :class:`~padis_gui.core.runs.engine.Run`, which stay
importable, and stable: what is here keeps its names and its meaning. Settings are keyword arguments by the names with
which they are declared; those are also the names on the command line. Whatever is refused raises
:class:`~padis_gui.core.settings.errors.PadisError` in one sentence.

Pictures come and go as arrays (C, rows, columns) in the image's own unit.
"""

from padis_gui.api.deepinv import physics_from
from padis_gui.api.opening import OpenedImage, OpenedPrior, demo, open, prior
from padis_gui.api.problems import (
    Problem,
    blur,
    cone,
    ct,
    denoise,
    fan,
    inpaint,
    nothing,
    problem,
    scan,
    superresolution,
)
from padis_gui.api.runs import Result, Step, Steps, prior_fit, reconstruct, repeat, save, steps
from padis_gui.core.runs.control import Control
from padis_gui.core.settings.errors import PadisError

__all__ = [
    "Control", "OpenedImage", "OpenedPrior", "PadisError", "Problem", "Result", "Step", "Steps", "blur", "cone", "ct",
    "demo", "denoise", "fan", "inpaint", "nothing", "open", "physics_from", "prior", "prior_fit", "problem",
    "reconstruct", "repeat", "save", "scan", "steps", "superresolution",
]  # fmt: skip
