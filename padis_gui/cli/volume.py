"""`padis-gui volume INPUT --out OUT.tif`: every slice of a stack, here or on many workers, resumed where it was.

It is seen as a progress bar, or as events in lines of JSON.
"""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padis_gui.cli.options import (
    add_adaptation,
    add_events,
    add_preset,
    add_problem,
    add_run,
    add_settings,
    chosen_method,
    given_inputs,
    given_settings,
    open_prior,
)
from padis_gui.cli.outputs import add_volume_exports, kept, volume_exports, write_json, write_volume_exports
from padis_gui.cli.progress import Lines, Pacer, progress_bar
from padis_gui.cli.terminal import say
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.runs.presets import DEFAULT_PRESET
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, Interrupted, SettingError
from padis_gui.core.settings.outputs import check_is_tiff
from padis_gui.core.settings.untrusted import MOST_THREADS
from padis_gui.core.volumes.request import VolumeSettings
from padis_gui.core.volumes.run import SliceDone, SliceFailed, VolumeBegan, VolumeEvent, Writing, as_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from padis_gui.cli.progress import Control
    from padis_gui.core.runs.recipe import Recipe
    from padis_gui.core.solvers.iterate import Iterate
    from padis_gui.core.volumes.request import VolumeRequest
    from padis_gui.core.volumes.run import VolumeDone, VolumeEvent


_STEP_SECONDS = 0.5  # between two lines or redrawings of steps
# Settings of slices together that any volume has
_OF_ANY_VOLUME = ("slice_spacing", "z_smoothing")


class Display(ABC):
    """Follows the events; ``failures`` are sentences, ``template`` the recipe of all slices once it is known."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self.folder: Path | None = None
        self.failures: list[str] = []
        self.template: Recipe | None = None
        self._stepping = Pacer(_STEP_SECONDS)

    def show(self, event: VolumeEvent) -> bool:
        """Show an event; False when nobody can see it any more."""
        match event:
            case VolumeBegan():
                self.total, self.folder = event.total, event.folder
            case SliceDone():
                self.done = event.done
            case SliceFailed():
                self.failures.append(f"page {event.page}: {event.trouble}")
            case _:
                pass
        return self._show(event)

    def watch(self, page: int, iterate: "Iterate") -> None:
        """Show a step of the slice in hand, now and then."""
        if self._stepping():
            self._step(page, iterate)

    @abstractmethod
    def _show(self, event: VolumeEvent) -> bool: ...

    @abstractmethod
    def _step(self, page: int, iterate: "Iterate") -> None: ...

    @abstractmethod
    def note(self, name: str, step: int) -> None:
        """Something that is no event of the volume: paused, resumed, stopped."""


@contextmanager
def display(*, events: bool) -> Iterator[Display]:
    """Lines of JSON with ``events``, else a bar."""
    if events:
        yield _Lines()
        return
    with progress_bar("Volume") as bar:
        yield _Bar(bar)


class _Lines(Display):
    """Every event a line on standard output."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = Lines()

    def _show(self, event: VolumeEvent) -> bool:
        return self._lines.write(as_line(event))

    def _step(self, page: int, iterate: "Iterate") -> None:
        self._lines.tell("step", page=page, step=iterate.step, of=iterate.total, sigma=iterate.sigma)

    def note(self, name: str, step: int) -> None:
        self._lines.tell(name, done=step)


class _Bar(Display):
    """Slices on a bar, with the last one's quality and the step of the one in hand."""

    def __init__(self, bar: "Callable[[int, int, str], None]") -> None:
        super().__init__()
        self._bar, self._quality = bar, ""

    def _show(self, event: VolumeEvent) -> bool:
        match event:
            case SliceDone():
                psnr = event.metrics.get("psnr")
                smoothed = " smoothed" if event.smooth else ""
                self._quality = f"page {event.page}{smoothed}" + ("" if psnr is None else f" {psnr:.2f} dB")
            case SliceFailed():
                self._quality = f"page {event.page} failed"
            case Writing():
                self._quality = f"writing {event.out.name}"
            case _:
                pass
        self._update(self._quality)
        return True

    def _step(self, page: int, iterate: "Iterate") -> None:
        self._update(f"{self._quality}  page {page}: {iterate.step}/{iterate.total}".strip())

    def note(self, name: str, step: int) -> None:
        pass

    def _update(self, note: str) -> None:
        self._bar(self.done, self.total, note)


_HELP = """\
Reconstruct every slice of a stack, or those in --pages, with one recipe and one seed: what the solver draws is the same
in each slice, so that the result is consistent along z. Slices are kept in OUT.tif.parts as they are finished; the same
command goes on after Ctrl-C, a kill or a power failure. At the end they become one float32 TIFF.

With a prior across slices (--across, or --prior where that is one itself), in a cone beam, or with --in-one, the slices are
one run: all of them are in memory and solved together, each denoiser call sees each slice with its neighbours. Such a run
is not taken up again after a kill.

--workers N shares the slices out to N processes, --workers dask://HOST:PORT to those of a dask scheduler; a worker that
dies costs the slice in its hands. The data, the prior and OUT.tif must then lie where every worker finds them.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    parser.description, parser.formatter_class = _HELP, argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "input", type=Path, nargs="?", default=None, metavar="INPUT", help="a file with many pages or slices"
    )
    parser.add_argument(
        "--pages",
        nargs="+",
        default=[],
        metavar="N",
        help="pages from 0, such as 0-99 or 3 7 9 (default: all)",
    )
    add_settings(parser, VolumeSettings, skip=("pages",))
    together = parser.add_argument_group("slices together")
    together.add_argument(
        "--across", type=Path, default=None, metavar="FILE",
        help="a prior across slices beside that of single slices, for high noise levels; ct-volume names the bundled one",
    )  # fmt: skip
    together.add_argument(
        "--in-one",
        action="store_true",
        help="solve all slices in one run, also where nothing ties them together",
    )
    add_settings(together, StackSettings, skip=_OF_ANY_VOLUME)
    parser.add_argument(
        "--workers", default="1", metavar="N|ADDRESS",
        help="processes on this machine, or a dask scheduler such as dask://host:8786 (default: 1, this process)",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=int, default=None, metavar="N",
        help="threads for each slice; the same number gives the same bits (default: all cores, shared by the workers)",
    )  # fmt: skip
    parser.add_argument(
        "--restart", action="store_true", help="throw away the finished slices of an earlier run"
    )
    add_events(parser)
    add_preset(parser)
    add_settings(parser.add_argument_group("reading"), ReadingSettings)
    add_problem(parser)
    add_run(parser)
    add_adaptation(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, default=None, metavar="OUT.tif", help="the float32 TIFF to write")
    where.add_argument(
        "--resume", type=Path, default=None, metavar="OUT.tif.parts",
        help="go on with the volume whose finished slices are in that folder, without saying again what was wanted",
    )  # fmt: skip
    parser.add_argument(
        "--report", type=Path, default=None, metavar="REPORT.json", help="metrics by slice and recipe as JSON"
    )
    add_volume_exports(parser)


def run(options: argparse.Namespace) -> int:
    """Reconstruct the volume; writes the TIFF and the report."""
    from padis_gui.cli.progress import Control
    from padis_gui.core.volumes.cluster import parse_workers
    from padis_gui.core.volumes.run import VolumeDone

    workers = parse_workers(options.workers)
    if options.threads is not None and not 1 <= options.threads <= MOST_THREADS:
        raise SettingError(
            f"--threads must be 1 to {MOST_THREADS}, but {options.threads} was given; use a number in that range."
        )
    if options.resume is None:
        done = _in_one(options, workers)
        if done is not None:
            return done
    make_request = _resumed(options) if options.resume is not None else _wanted(options)
    last = None
    with Control(words=options.events) as control, display(events=options.events) as shown:
        try:
            for event in _events(options, workers, make_request, control, shown):
                last = event
                if not shown.show(event):  # nobody listens any more
                    control.stop = True
        except Interrupted:
            shown.note("stopped", shown.done)
            return _interrupted(shown, by_signal=control.interrupted)
    if not isinstance(last, VolumeDone):
        raise InputError(
            f"Every slice was wanted, but {len(shown.failures)} failed, the first because: {shown.failures[0]} The others "
            "are kept; leave out the pages that fail, or mend them, and start again."
        )
    written = options.report
    if options.report is not None and shown.template is not None:
        report = _report(last, shown.template)
        _, written = kept(options.report, lambda to: write_json(to, report))
    if not options.events:
        say(_summary(last))
    missing = write_volume_exports(options, last.out)
    return 0 if written == options.report and not missing else 2


def _events(
    options: argparse.Namespace,
    workers: int | str,
    make_request: "Callable[[int], VolumeRequest]",
    control: "Control",
    shown: "Display",
) -> "Iterator[VolumeEvent]":
    """What happens, as it happens; raises :class:`Interrupted` when it is to stop."""
    from padis_gui.core.settings.machine import usable_cores
    from padis_gui.core.training.optimise import World
    from padis_gui.core.volumes.cluster import cluster, on_cluster, threads_each, threads_of
    from padis_gui.core.volumes.run import in_this_process, reconstruct_volume

    def check() -> None:
        control.wait_while_paused(World(), shown.done, shown)
        control.check()

    if workers == 1:
        request = make_request(options.threads or usable_cores())
        shown.template = request.template
        execute = in_this_process(shown.watch, check)
        yield from reconstruct_volume(request, execute, restart=options.restart)
        return
    with cluster(workers) as client:
        shared = threads_each(workers) if isinstance(workers, int) else threads_of(client)
        request = make_request(options.threads or shared)
        shown.template = request.template
        yield from reconstruct_volume(request, on_cluster(client, check), restart=options.restart)


def _in_one(options: argparse.Namespace, workers: int | str) -> int | None:
    """The volume in one run, where that is wanted; None where it is made slice by slice."""
    from padis_gui.cli.volume_in_one import reconstruct_in_one

    wanted = options.across is not None or options.in_one or _measures_volumes(options)
    if not wanted and options.prior is not None:
        from padis_gui.core.prior.checkpoint import read_record, slices_of

        wanted = slices_of(read_record(options.prior, options.training_image_size)).get("slices", 1) > 1
    if not wanted:
        given = given_settings(options, StackSettings)
        only_together = [name for name in given if name not in _OF_ANY_VOLUME]
        if only_together:
            raise SettingError(
                f"A volume in one run was wanted by --{only_together[0].replace('_', '-')}, but nothing ties its slices "
                "together; give --across, or --in-one."
            )
        return None
    if workers != 1:
        raise SettingError(
            "One process was wanted for a volume in one run, but --workers was given; leave it out, or the prior across "
            "slices."
        )
    return reconstruct_in_one(options)


def _measures_volumes(options: argparse.Namespace) -> bool:
    """Whether the physics that is chosen measures all slices at once."""
    from padis_gui.core.physics.registry import find_physics
    from padis_gui.core.runs.presets import find_preset

    physics = options.physics or find_preset(options.preset or DEFAULT_PRESET).physics
    return find_physics(physics).of_volumes


def _resumed(options: argparse.Namespace) -> "Callable[[int], VolumeRequest]":
    """What was wanted when the folder was made."""
    from padis_gui.core.runs.inputs import check_run_outputs, inputs_of
    from padis_gui.core.volumes.parts import Parts

    if options.input is not None:
        raise SettingError(
            "Either a file and --out, or --resume was wanted, but both were given; leave one out."
        )
    request = Parts(options.resume).request()
    outputs = [request.out, options.report, *volume_exports(options).values()]
    check_run_outputs(inputs_of(request.template), outputs)

    def with_threads(threads: int) -> "VolumeRequest":
        template = request.template.model_copy(update={"threads": threads})
        return request.model_copy(update={"template": template})

    return with_threads


def _wanted(options: argparse.Namespace) -> "Callable[[int], VolumeRequest]":
    """What the options say; files are read once it is known who does the work."""
    from padis_gui.core.runs.inputs import check_run_outputs

    if options.input is None:
        raise InputError("A file of slices was wanted, but none was named; give it before the options.")
    check_run_outputs(given_inputs(options), [options.out, options.report, *volume_exports(options).values()])
    check_is_tiff(options.out)

    def resolved(threads: int) -> "VolumeRequest":
        from padis_gui.core.files.read import read_image
        from padis_gui.core.runs.opened import Opened
        from padis_gui.core.runs.presets import bundled_prior, find_preset
        from padis_gui.core.runs.recipe import make_recipe, new_seed
        from padis_gui.core.settings.machine import pick_device
        from padis_gui.core.volumes.request import make_request, parse_pages
        from padis_gui.core.volumes.run import earlier_seed

        preset = find_preset(options.preset or DEFAULT_PRESET)
        reading = make(ReadingSettings, given_settings(options, ReadingSettings))
        values = given_settings(options, VolumeSettings) | {"pages": " ".join(options.pages)}
        settings = make(VolumeSettings, values)
        image = read_image(options.input, 0, reading)
        page = parse_pages(settings.pages, image.pages)[0]
        if page:
            image = read_image(options.input, page, reading)
        method = chosen_method(options, preset, image)
        seed = options.seed
        if seed is None and not options.restart:
            seed = earlier_seed(options.out)
        kind = pick_device(options.device).type
        prior_path = options.prior or bundled_prior(method.physics, kind, scanned=image.is_scan)
        prior = open_prior(options, prior_path)
        opened = Opened(image=image, data_path=options.input, prior=prior, prior_path=prior_path)
        recipe = make_recipe(opened, method, new_seed() if seed is None else seed, threads=threads)
        return make_request(recipe, prior, settings, options.out, image)

    return resolved


def _interrupted(shown: "Display", *, by_signal: bool) -> int:
    if shown.folder is not None:
        say(
            f"padis-gui: interrupted; {shown.done} of {shown.total} slices are finished and kept in {shown.folder}, the "
            "same command goes on.",
            error=True,
        )
    elif by_signal:
        say("padis-gui: interrupted.", error=True)
    return 130 if by_signal else 0


def _report(done: "VolumeDone", template: "Recipe") -> dict[str, Any]:
    return {
        "out": str(done.out),
        "metrics": done.metrics,
        "slices": [{"page": page} | metrics for page, metrics in zip(done.pages, done.slices, strict=True)],
        "seconds": done.seconds,
        "seed": template.seed,
        "recipe": template.model_dump(mode="json"),
    }


def _summary(done: "VolumeDone") -> str:
    count = f"{len(done.pages)} slice{'s' * (len(done.pages) != 1)}"
    found = done.metrics
    psnr, ssim, residual = (found.get(name) for name in ("psnr", "ssim", "residual"))
    quality = f", residual {residual:.2e}" if residual is not None else ""
    if psnr is not None and ssim is not None:
        quality = f", mean PSNR {psnr:.2f} dB, SSIM {ssim:.3f}"
    before = found.get("psnr_unsmoothed")
    if before is not None:
        quality += f" (before smoothing along z {before:.2f} dB)"
    took = "written by an earlier run" if done.kept else f"{done.seconds:.1f} s"
    return f"{done.out}: {count}{quality}, {took}"
