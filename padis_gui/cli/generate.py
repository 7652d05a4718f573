"""`padis-gui generate --out OUT.tif`: unconditional samples of a prior, to see what it has learned."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from padis_gui.cli.options import (
    add_run,
    add_settings,
    chosen_solver,
    chosen_tiling,
    given_inputs,
    given_settings,
    open_prior,
)
from padis_gui.cli.outputs import kept
from padis_gui.cli.terminal import say
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.outputs import check_is_tiff

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    from padis_gui.core.physics.pixelwise import NothingSettings

    parser.add_argument(
        "--count", type=int, default=1, metavar="N",
        help="how many samples, one a page, with the seeds S, S+1, ... (default: 1)",
    )  # fmt: skip
    add_settings(parser, NothingSettings)
    add_run(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="OUT.tif",
        help="the float32 TIFF to write, with the recipe of the first sample and every seed",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Draw the samples; what is finished is written, even when a later one is interrupted."""
    from padis_gui.cli.progress import progress_bar
    from padis_gui.core.exports.about import About
    from padis_gui.core.exports.settings import FileSettings
    from padis_gui.core.exports.tiff import fits_imagej, write_tiff
    from padis_gui.core.physics.pixelwise import NothingSettings
    from padis_gui.core.runs.engine import Run, finish
    from padis_gui.core.runs.inputs import check_run_outputs
    from padis_gui.core.runs.method import Method
    from padis_gui.core.runs.opened import Opened, prepare_image
    from padis_gui.core.runs.presets import find_preset, fitting_prior
    from padis_gui.core.runs.recipe import check_seed, make_recipe, new_seed
    from padis_gui.core.settings.declarations import make
    from padis_gui.core.settings.machine import pick_device
    from padis_gui.core.solvers.iterate import Iterate

    if not 1 <= options.count <= MOST:
        raise SettingError(f"The count must be 1 to {MOST}, but {options.count} was given; change --count.")
    check_run_outputs(given_inputs(options), [options.out])
    check_is_tiff(options.out)
    preset = find_preset("generate")
    solver, settings = chosen_solver(options, preset)
    tiling = chosen_tiling(options)
    size = make(NothingSettings, given_settings(options, NothingSettings))
    seed = new_seed() if options.seed is None else options.seed
    check_seed(seed + options.count - 1)
    prior_path = options.prior or fitting_prior(preset.prior, pick_device(options.device).type)
    prior = open_prior(options, prior_path)
    opened = Opened(image=None, data_path=None, prior=prior, prior_path=prior_path)
    method = Method(
        physics=preset.physics, problem=size, tiling=tiling, solver=solver.name, settings=settings
    )
    first = make_recipe(opened, method, seed)
    samples: dict[str, NDArray[np.float32]] = {}
    blank = prepare_image(None, prior, size)
    prepared, out = None, options.out
    try:
        with progress_bar(solver.label) as bar:
            for done in range(options.count):

                def watch(iterate: Iterate, done: int = done) -> None:
                    total = iterate.total * options.count
                    note = f"sample {done + 1} of {options.count}  σ {iterate.sigma:.3g}"
                    bar(done * iterate.total + iterate.step, total, note)

                run = Run(first.model_copy(update={"seed": seed + done}), opened, prepared=prepared)
                samples[f"seed {seed + done}"] = finish(run, watch).pixels
                prepared = run.prepared
    finally:
        if samples:
            about = About(
                kind="draws", seeds=tuple(range(seed, seed + len(samples))), unit=blank.unit, window=blank.window,
                name=options.out.stem,
            )  # fmt: skip
            pages = list(samples.values())
            form = FileSettings(tiff="ImageJ" if fits_imagej(sum(page.nbytes for page in pages)) else "OME")
            _, out = kept(
                options.out,
                lambda to: write_tiff(
                    to, pages, first, {}, labels=tuple(samples), about=about, settings=form
                ),
            )
            rows, columns = blank.shape
            last = seed + len(samples) - 1
            say(
                f"{out}: {len(samples)} of {options.count} samples of {rows} x {columns}, {solver.label}, "
                f"seed {seed}" + (f" to {last}" if last > seed else "")
            )
    return 0 if out == options.out else 2
