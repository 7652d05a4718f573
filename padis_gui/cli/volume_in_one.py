"""`padis-gui volume` where the slices are one run, as a prior across them wants it."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padis_gui.cli.options import chosen_method, given_inputs, given_settings, open_prior
from padis_gui.cli.outputs import kept, volume_exports, write_json, write_volume_exports
from padis_gui.cli.progress import Control as Signals
from padis_gui.cli.progress import Lines, Pacer, progress_bar
from padis_gui.cli.terminal import say
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.runs.presets import DEFAULT_PRESET
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, Interrupted, SettingError
from padis_gui.core.settings.outputs import check_is_tiff
from padis_gui.core.volumes.request import VolumeSettings

if TYPE_CHECKING:
    from padis_gui.core.runs.method import Method
    from padis_gui.core.runs.opened import Opened
    from padis_gui.core.solvers.iterate import Iterate
    from padis_gui.core.volumes.whole import WholeVolume

_STEP_SECONDS = 0.5


def reconstruct_in_one(options: argparse.Namespace) -> int:
    """Open, run, write the TIFF and the report; returns the exit code."""
    from padis_gui.core.runs.control import Checked, Control
    from padis_gui.core.runs.inputs import check_run_outputs
    from padis_gui.core.runs.recipe import new_seed
    from padis_gui.core.settings.machine import usable_cores
    from padis_gui.core.training.optimise import World
    from padis_gui.core.volumes.whole import reconstruct_whole, save_whole

    if options.input is None:
        raise InputError("A file of slices was wanted, but none was named; give it before the options.")
    across = _across_file(options)
    outputs = [options.out, options.report, *volume_exports(options).values()]
    check_run_outputs([*given_inputs(options), across], outputs)
    check_is_tiff(options.out)
    with Signals(words=options.events) as signals, _Shown(events=options.events) as shown:
        world = World()

        def check() -> None:
            signals.wait_while_paused(world, shown.step, shown)
            signals.check()

        try:
            opened, method = _opened(options, across, check, shown)
            seed = new_seed() if options.seed is None else options.seed
            control = Control(side_work=Checked(check))
            volume = reconstruct_whole(
                opened, method, seed, threads=options.threads or usable_cores(), control=control, watch=shown.watch,
            )  # fmt: skip
        except Interrupted:
            if signals.interrupted:
                say("padis-gui: interrupted; a volume in one run leaves nothing to go on with.", error=True)
            return 130 if signals.interrupted else 0
        _, out = kept(options.out, lambda to: save_whole(to, volume))
        written = options.report
        if options.report is not None:
            report = _report(volume, out)
            _, written = kept(options.report, lambda to: write_json(to, report))
        shown.done(volume, out)
    missing = write_volume_exports(options, out)
    return 0 if (out, written) == (options.out, options.report) and not missing else 2


def _across_file(options: argparse.Namespace) -> Path | None:
    """The file of the prior across slices; a bundled one by its name."""
    from padis_gui.core.runs.presets import VOLUME_PRIOR, resource

    if options.across is None or options.across.exists() or str(options.across) != Path(VOLUME_PRIOR).stem:
        path: Path | None = options.across
        return path
    return resource(VOLUME_PRIOR)


def _opened(
    options: argparse.Namespace, across: Path | None, check: Any, shown: "_Shown"
) -> "tuple[Opened, Method]":
    from padis_gui.core.files.read import read_cone_volume, read_image
    from padis_gui.core.physics.registry import find_physics
    from padis_gui.core.runs.opened import Opened
    from padis_gui.core.runs.presets import bundled_prior, find_preset
    from padis_gui.core.settings.machine import pick_device
    from padis_gui.core.volumes.request import parse_pages
    from padis_gui.core.volumes.whole import open_volume

    def tell(done: int, total: int) -> None:
        check()
        shown.reading(done, total)

    preset = find_preset(options.preset or DEFAULT_PRESET)
    together = find_physics(options.physics or preset.physics).of_volumes
    reading = make(ReadingSettings, given_settings(options, ReadingSettings))
    settings = make(
        VolumeSettings, given_settings(options, VolumeSettings) | {"pages": " ".join(options.pages)}
    )
    first, image = read_image(options.input, 0, reading), None
    if together and first.is_scan:
        if settings.pages:
            raise SettingError(
                "All slices of a cone-beam scan were wanted, as they are measured together, but --pages was given; "
                "leave it out."
            )
        first = image = read_cone_volume(options.input, reading, tell)
    else:
        page = parse_pages(settings.pages, first.pages)[0]
        if page:
            first = read_image(options.input, page, reading)
    method = replace(
        chosen_method(options, preset, first),
        stack=make(StackSettings, given_settings(options, StackSettings)),
    )
    kind = pick_device(options.device).type
    # beside a prior across slices stands the one that it began as
    prior_path = options.prior or bundled_prior(
        method.physics, "cpu" if across is not None else kind, scanned=first.is_scan
    )
    prior = open_prior(options, prior_path)
    image = open_volume(options.input, settings, first, prior, tell) if image is None else image
    opened = Opened(
        image=image, data_path=options.input, prior=prior, prior_path=prior_path,
        across=None if across is None else open_prior(options, across), across_path=across,
    )  # fmt: skip
    return opened, method


class _Shown:
    """A bar, or lines of JSON; ``step`` is the last one."""

    def __init__(self, *, events: bool) -> None:
        self.step = 0
        self._events, self._lines, self._pace = events, Lines(), Pacer(_STEP_SECONDS)
        self._bar = progress_bar("Volume")

    def __enter__(self) -> "_Shown":
        self._tell = None if self._events else self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if not self._events:
            self._bar.__exit__(*error)

    def reading(self, done: int, total: int) -> None:
        """So many slices are read."""
        if self._tell is not None:
            self._tell(done, total, "reading")
        elif self._pace():
            self._lines.tell("reading", done=done, total=total)

    def watch(self, iterate: "Iterate") -> None:
        """A step was made."""
        self.step = iterate.step
        if self._tell is not None:
            self._tell(iterate.step, iterate.total, f"σ {iterate.sigma:.3g}")
        elif self._pace(always=iterate.step == iterate.total):
            self._lines.tell("step", step=iterate.step, of=iterate.total, sigma=iterate.sigma)

    def note(self, name: str, step: int) -> None:
        """Paused, resumed, stopped."""
        if self._events:
            self._lines.tell(name, done=step)

    def done(self, volume: "WholeVolume", out: Path) -> None:
        """The TIFF is there."""
        metrics, count = volume.metrics, len(volume.slices)
        if self._events:
            self._lines.tell(
                "done", out=str(out), pages=list(volume.result.image.slices), seconds=volume.result.seconds
            )
            return
        quality = f"residual {metrics['residual']:.2e}" if "residual" in metrics else ""
        if "psnr" in metrics:
            quality = f"mean PSNR {metrics['psnr']:.2f} dB, SSIM {metrics['ssim']:.3f}"
        if "z_step_ratio" in metrics:
            quality += f", steps from slice to slice {metrics['z_step_ratio']:.2f} of the truth's"
        say(f"{out}: {count} slice{'s' * (count != 1)} in one run, {quality}, {volume.result.seconds:.1f} s")


def _report(volume: "WholeVolume", out: Path) -> dict[str, Any]:
    from padis_gui.core.images.metrics import as_json

    recipe = volume.result.recipe
    pages = volume.result.image.slices
    return {
        "out": str(out),
        "metrics": as_json(volume.metrics),
        "slices": [{"page": page} | metrics for page, metrics in zip(pages, volume.slices, strict=True)],
        "seconds": volume.result.seconds,
        "seed": recipe.seed,
        "recipe": recipe.model_dump(mode="json"),
    }
