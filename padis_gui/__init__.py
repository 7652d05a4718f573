"""padis_gui: the desktop workbench for patch-diffusion reconstruction.

From Python::

    import padis_gui as pg

    problem = pg.ct(pg.open("scan.dcm"), views=20, noise=0.01)
    pg.reconstruct(problem, solver="fast", seed=1).save("result.tif")

That is :mod:`padis_gui.api`, which is imported when something of it is asked for. Three storeys lie below it; imports
go down only (``lint-imports`` proves it):

- :mod:`padis_gui.core`: the mathematics, without Qt: operators, tilings, the patch prior, solvers,
  training, files. Importable and scriptable by itself.
- :mod:`padis_gui.viewmodels`: what the window knows and can do (QtCore only), testable without a widget.
- :mod:`padis_gui.gui`: widgets, without mathematics.

``padis_gui.cli`` drives the core from the command line and imports no Qt.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from padis_gui.api import (
        Control,
        OpenedImage,
        OpenedPrior,
        PadisError,
        Problem,
        Result,
        Step,
        Steps,
        blur,
        cone,
        ct,
        demo,
        denoise,
        fan,
        inpaint,
        nothing,
        open,
        physics_from,
        prior,
        prior_fit,
        problem,
        reconstruct,
        repeat,
        save,
        scan,
        steps,
        superresolution,
    )

__version__ = "0.2.0"


def _given() -> dict[str, str]:
    """The environment before anything of this program changed it, and its frozen form's libraries (PyInstaller's
    LD_LIBRARY_PATH) taken out."""
    given = dict(os.environ)
    if getattr(sys, "frozen", False):
        given.pop("LD_LIBRARY_PATH", None)
        if "LD_LIBRARY_PATH_ORIG" in given:
            given["LD_LIBRARY_PATH"] = given.pop("LD_LIBRARY_PATH_ORIG")
    return given


# For programs of others that are started: what is set for our Qt and our threads is none of theirs.
GIVEN_ENVIRONMENT = _given()

# OpenMP's threads spin while they wait for the next piece of work, for milliseconds unless told otherwise: beside any other
# load they keep the very cores busy that the work waits for. GNU's OpenMP reads this when torch is imported. Instead of
# 300 000 turns so many cost nothing that can be measured on an idle machine, and make a run on two busy cores five times as
# fast; the numbers are the same, bit for bit.
_SPINS = "5000"
if "torch" not in sys.modules and not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = _SPINS

__all__ = [
    "Control", "OpenedImage", "OpenedPrior", "PadisError", "Problem", "Result", "Step", "Steps", "__version__", "blur",
    "cone", "ct", "demo", "denoise", "fan", "inpaint", "nothing", "open", "physics_from", "prior", "prior_fit", "problem",
    "reconstruct", "repeat", "save", "scan", "steps", "superresolution",
]  # fmt: skip


if not TYPE_CHECKING:  # which would take every misspelt name for one that is there

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # errors are caught where nothing heavy was imported yet
        module = "padis_gui.core.settings.errors" if name == "PadisError" else "padis_gui.api"
        return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
