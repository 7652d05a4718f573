"""How `reconstruct` writes what it found: kinds of TIFF, curves as a table, a page to look at."""

import argparse
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from padis_gui.cli.options import add_settings, given_settings
from padis_gui.cli.outputs import write_text
from padis_gui.core.data.export_settings import ExportSettings
from padis_gui.core.settings import make

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from padis_gui.core.data.about import About
    from padis_gui.core.data.image import Image
    from padis_gui.core.problem import Problem
    from padis_gui.core.recipe import Recipe
    from padis_gui.core.solvers.iterate import Iterate

_BY_HAND = ("what", "picture", "animation", "frame_ms", "tiff", "sidecar")


def add_exports(parser: argparse.ArgumentParser) -> None:
    """The options of what is written, and how."""
    group = parser.add_argument_group("what is written")
    group.add_argument(
        "--ome", action="store_true", help="OUT.tif as OME-TIFF instead of ImageJ's convention"
    )
    add_settings(group, ExportSettings, skip=_BY_HAND)
    group.add_argument(
        "--sidecar", action="store_true", dest="beside",
        help="also OUT.json with the recipe, the metrics and the hash of the result; repeat takes it as well",
    )  # fmt: skip
    group.add_argument(
        "--html", type=Path, default=None, metavar="REPORT.html",
        help="one page with pictures, curves, settings and the recipe; it needs nothing from elsewhere",
    )  # fmt: skip
    group.add_argument(
        "--curves", type=Path, default=None, metavar="CURVES.csv", help="the numbers of every iterate"
    )


def chosen_export(options: argparse.Namespace) -> ExportSettings:
    """The settings of the export, as given."""
    given = given_settings(options, ExportSettings)
    given = {name: value for name, value in given.items() if name not in _BY_HAND}
    return make(
        ExportSettings,
        {**given, "tiff": "OME" if options.ome else "ImageJ", "sidecar": options.beside},
    )


class Recorder:
    """Keeps the numbers of the iterates, where they are wanted."""

    def __init__(self, problem: "Problem", options: argparse.Namespace) -> None:
        self._problem, self._options = problem, options
        self._wanted = options.html is not None or options.curves is not None
        self._last = time.perf_counter()
        self.columns: dict[str, list[float]] = {
            name: [] for name in ("step", "sigma", "psnr", "ssim", "residual", "seconds")
        }

    def record(self, iterate: "Iterate") -> None:
        """Take the numbers of an iterate."""
        if not self._wanted:
            return
        from padis_gui.core.metrics import psnr, ssim

        took, truth = time.perf_counter() - self._last, self._problem.truth
        known = truth is not None
        values = {
            "step": iterate.step, "sigma": iterate.sigma, "residual": iterate.residual, "seconds": took,
            "psnr": psnr(iterate.estimate, truth) if known and truth is not None else math.nan,
            "ssim": ssim(iterate.estimate, truth) if known and truth is not None else math.nan,
        }  # fmt: skip
        for name, value in values.items():
            self.columns[name].append(value)
        self._last = time.perf_counter()

    def write_curves(self) -> None:
        """Write the table, where it is wanted."""
        if self._options.curves is not None:
            from padis_gui.core.report.curves import curves_as_csv

            write_text(self._options.curves, curves_as_csv(self.columns))


def write_report(
    options: argparse.Namespace,
    recorder: Recorder,
    recipe: "Recipe",
    metrics: dict[str, float],
    about: "About",
    image: "Image",
    problem: "Problem",
    found: "tuple[NDArray[np.float32], NDArray[np.float32] | None]",
) -> None:
    """Write the page, where it is wanted; ``found`` are the estimate and the deviation (C, rows, columns)."""
    if options.html is None:
        return
    from padis_gui.core.device import describe_device
    from padis_gui.core.operators import find_physics
    from padis_gui.core.report.page import Report, as_html, pictures_of
    from padis_gui.core.report.pixels import as_seen

    estimate, deviation = found
    truth = None if problem.truth is None else as_seen(image.from_unit(problem.truth))
    baseline = None
    if not find_physics(recipe.physics).imageless:
        baseline = as_seen(image.from_unit(problem.operator.pinv(problem.measurement)))
    pictures = pictures_of(
        as_seen(estimate), image.window, image.unit, truth=truth, baseline=baseline,
        deviation=None if deviation is None else as_seen(deviation),
    )  # fmt: skip
    write_text(
        options.html,
        as_html(
            Report(
                title=options.out.stem,
                recipe=recipe,
                metrics=metrics,
                seconds=about.seconds,
                evaluations=about.evaluations,
                device=describe_device(problem.device),
                sha256=about.sha256,
                pictures=pictures,
                curves=recorder.columns,
            )
        ),
    )
