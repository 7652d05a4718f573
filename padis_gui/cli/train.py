"""`padis-gui train DATA… --out DIR`: train or resume a patch prior, with a progress bar or with events as lines of JSON.

With `--preview FILE.png`: what the network would see, and what cannot be used.
"""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from padis_gui.cli.options import add_events, add_settings, chosen_window, given_settings
from padis_gui.cli.progress import Lines, Pacer
from padis_gui.cli.terminal import printable, say
from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.settings.declarations import S, make
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.files import failures_said, writing_atomically
from padis_gui.core.settings.outputs import check_names, check_outputs
from padis_gui.core.training.log import DataRead, Done, Looked, Looking, Stepped, TrainEvent
from padis_gui.core.training.looks import SightSettings
from padis_gui.core.training.settings import DataSettings, TrainingSettings

if TYPE_CHECKING:
    from padis_gui.core.training.optimise import World
    from padis_gui.core.training.plan import TrainingRequest


_SHOWN, _COLUMNS, _CELL = 48, 8, 160


def preview(sources: Sequence[Path], settings: DataSettings, path: Path) -> int:
    """Read the data as a training would, write a contact sheet of some, and say what they are."""
    from PIL import Image as Pillow

    from padis_gui.cli.progress import progress_bar
    from padis_gui.core.training.dataset import load_training_data
    from padis_gui.core.training.looks import contact_sheet

    if path.suffix.lower() != ".png":
        raise InputError(f"The preview is a PNG, but {path.name} does not end in .png; rename it.")
    check_names(*sources)
    check_outputs([*sources, *_named(settings)], [path])
    with (
        progress_bar("reading") as bar,
        _unheard("padis_gui.core.training.dataset"),
    ):
        data = load_training_data(sources, settings, progress=lambda done, total: bar(done, total, ""))
    shown = data.preview(_SHOWN)
    pixels = contact_sheet(list(shown), _COLUMNS, _CELL)
    with failures_said("The preview", path), writing_atomically(path) as file:
        Pillow.fromarray(pixels).save(file, "PNG")
    kept, aside = data.split(settings.validation)
    low, high = data.window
    say(
        f"{path}: {len(shown)} of {len(data.images)} images of {len(data.subjects)} subjects, "
        f"{len(kept.images)} to train on and {0 if aside is None else len(aside.images)} to validate on; "
        f"{data.image_size} px, {data.channels} channels; black is {low:g} and white {high:g} {data.unit}".rstrip()
    )
    if data.skipped:
        say(f"{len(data.skipped)} skipped:")
    for item in data.skipped:
        say(f"  {item.name}: {item.reason}")
    return 0


@contextmanager
def _unheard(name: str) -> Iterator[None]:
    """Without what a logger says, which will be printed in another way."""
    logger = logging.getLogger(name)
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


_BAR = 20
_OTHER_COLUMNS = 50  # the bar, the steps and the time gone
_READING_SECONDS, _STEP_SECONDS = 0.2, 0.5  # between two lines of the same kind


class Display(Protocol):
    """Shows what happens. ``show`` returns False when nobody can see it any more."""

    def reading(self, done: int, total: int) -> None: ...

    def show(self, event: TrainEvent) -> bool: ...

    def note(self, name: str, step: int) -> None: ...


@contextmanager
def display(folder: Path, *, events: bool, silent: bool) -> Iterator[Display]:
    """Lines of JSON with ``events``, nothing where ``silent``, else a bar."""
    if silent:
        yield _Silent()
    elif events:
        yield _Lines()
    else:
        with _Bar(folder) as bar:
            yield bar


class _Silent:
    """The other processes of a world."""

    def reading(self, done: int, total: int) -> None:
        pass

    def show(self, event: TrainEvent) -> bool:
        return True

    def note(self, name: str, step: int) -> None:
        pass


class _Lines:
    """Every event a line on standard output: each that is logged, and a step twice a second."""

    def __init__(self) -> None:
        self._reading, self._stepping = Pacer(_READING_SECONDS), Pacer(_STEP_SECONDS)
        self._lines = Lines()

    def reading(self, done: int, total: int) -> None:
        if self._reading(always=done == total):
            self._lines.tell("reading", done=done, total=total)

    def show(self, event: TrainEvent) -> bool:
        if isinstance(event, Stepped) and not self._stepping(always=event.logged):
            return self._lines.open
        return self._lines.write(event.line())

    def note(self, name: str, step: int) -> None:
        self._lines.tell(name, step=step)


class _Bar:
    """A bar on standard error, silent where that is no terminal; sentences on standard output."""

    def __init__(self, folder: Path) -> None:
        from rich.console import Console  # what is refused needs no bar
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._folder = folder
        self._console = Console(stderr=True)
        self._shared = sys.stdout.isatty()
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=_BAR), MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"), TimeElapsedColumn(), console=self._console,
            redirect_stdout=False,  # it may go to a file
            disable=not self._console.is_terminal,  # else the last state of the bar would be printed
        )  # fmt: skip
        self._task = self._progress.add_task("reading", total=None, note="")
        self._quality = ""

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def reading(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def show(self, event: TrainEvent) -> bool:
        match event:
            case DataRead():
                self._begin(event)
            case Stepped():
                note = _fitting(_notes(event, self._quality), self._console.width - _OTHER_COLUMNS)
                self._progress.update(self._task, completed=event.step, note=note, description="training")
            case Looking():
                self._progress.update(self._task, description="looking ")
            case Looked(look=look) if look.reconstruction is not None:
                self._quality = f"{look.psnr:.1f} dB"
            case Done():
                early = f"{event.stopped} " if event.stopped else ""
                self._say(f"{early}The prior is {self._folder / event.prior}")
            case _:
                pass
        return True

    def note(self, name: str, step: int) -> None:
        pass

    def _begin(self, event: DataRead) -> None:
        self._say(
            f"{describe(event)}; {event.parameters:,} parameters, {event.device}, {event.precision}; checkpoints go "
            f"to {self._folder}"
        )
        self._progress.reset(self._task, total=event.total, completed=event.step, description="training")

    def _say(self, text: str) -> None:
        """A line on standard output; above the bar, where both are the same terminal."""
        if self._console.is_terminal and self._shared:
            self._console.print(printable(text), highlight=False, markup=False, soft_wrap=True)
        else:
            say(text)
            sys.stdout.flush()


def describe(event: DataRead) -> str:
    """The data in words."""
    aside = f", {event.validation} more kept aside" if event.validation else ""
    skipped = f" ({len(event.skipped)} skipped)" if event.skipped else ""
    low, high = event.window
    kind = {1: "grey", 3: "colour"}.get(event.channels, f"{event.channels} channels")
    return (
        f"{event.images} images of {event.subjects} subjects{aside}{skipped}, {event.image_size} px, {kind}, "
        + f"{low:g} to {high:g} {event.unit}".rstrip()
    )


def _notes(event: Stepped, quality: str) -> list[str]:
    """What matters now, the most important first."""
    made = event.made
    return [
        text
        for text in (
            f"{_duration(event.left)} left",
            f"loss {made.average:.4f}",
            quality,
            f"{event.patches_per_second:.0f} patches/s",
            f"{made.memory / 2**30:.1f} GiB",
        )
        if text
    ]


def _fitting(parts: list[str], width: int) -> str:
    text = parts[0]
    for part in parts[1:]:
        if len(text) + 2 + len(part) > width:
            break
        text += f"  {part}"
    return text


def _duration(seconds: float) -> str:
    """A time to go, no finer than one can know it."""
    if seconds >= 36_000:
        return f"{seconds / 3600:.0f} h"
    if seconds >= 3600:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s"


_MOST_MINUTES = 100_000  # ten weeks
_NOT_FOR_USERS = ("image_channels",)  # follows from the data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    parser.add_argument(
        "data",
        type=Path,
        nargs="*",
        metavar="DATA",
        help="folders of images, and files: see the data's settings",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--out", type=Path, default=None, metavar="DIR",
        help="where checkpoints, log and looks go; a training that is there already goes on",
    )  # fmt: skip
    where.add_argument(
        "--resume", type=Path, default=None, metavar="DIR",
        help="go on with the training in DIR, as it was meant when it began; --steps may ask for more",
    )  # fmt: skip
    where.add_argument(
        "--preview", type=Path, default=None, metavar="FILE.png",
        help="do not train: write what the network would see, and list what cannot be used",
    )  # fmt: skip
    parser.add_argument(
        "--from", type=Path, default=None, dest="start_from", metavar="PRIOR",
        help="train this prior further: its network and conventions are kept",
    )  # fmt: skip
    parser.add_argument(
        "--minutes", type=float, default=None, metavar="M",
        help="train for about so long in place of --steps: a few steps are timed on this machine first, and warm-up, "
        "validation and checkpoints are fitted to the steps that there is time for, as in the window",
    )  # fmt: skip
    add_events(parser)
    parser.add_argument("--name", default=None, help="the prior's name (default: the folder's)")
    parser.add_argument(
        "--window", default=None, metavar="LOW,HIGH", help="short for --window-low LOW --window-high HIGH"
    )
    parser.add_argument("--device", default=None, metavar="D", help="auto (the default), cpu, cuda or cuda:N")
    parser.add_argument(
        "--precision", choices=("auto", "float32", "bfloat16"), default=None, help="default: auto"
    )
    add_settings(parser.add_argument_group("data"), DataSettings)
    add_settings(parser.add_argument_group("training"), TrainingSettings)
    add_settings(parser.add_argument_group("network"), NetworkSettings, skip=_NOT_FOR_USERS)
    add_settings(parser.add_argument_group("looks and logs"), SightSettings)


def run(options: argparse.Namespace) -> int:
    """Train until done, or until Ctrl-C, SIGTERM or the word stop, which save a checkpoint first."""
    if options.preview is not None:
        return preview(_sources(options), _data_settings(options, DataSettings()), options.preview)
    from padis_gui.cli.progress import Control
    from padis_gui.core.settings.machine import pick_device, use_all_threads
    from padis_gui.core.training.log import Stepped
    from padis_gui.core.training.optimise import world_from_environment
    from padis_gui.core.training.run import run_training

    request, folder = _request(options)
    _check_files(request, folder)
    with (
        world_from_environment(pick_device(request.device)) as world,
        Control(words=options.events and world.main) as control,
        display(folder, events=options.events, silent=not world.main) as shown,
    ):
        if world.size == 1:
            use_all_threads()
        if options.minutes is not None:
            request = _within_minutes(request, folder, options, world)

        def reading(done: int, total: int) -> None:
            if control.stop:
                raise KeyboardInterrupt
            shown.reading(done, total)

        events = run_training(request, folder, world=world, reading=reading, check=control.check)
        try:
            for event in events:
                if not shown.show(event):  # nobody listens any more
                    control.stop = True
                if isinstance(event, Stepped) and event.step < event.made.total:
                    control.wait_while_paused(world, event.step, shown)
                    if world.any(control.stop):
                        break
            else:
                return 0
        finally:
            events.close()
        shown.note("stopped", event.step)
    if control.interrupted:
        raise KeyboardInterrupt
    return 0


def _sources(options: argparse.Namespace) -> tuple[Path, ...]:
    if not options.data:
        raise SettingError(
            "The data to train on were wanted, but none were named; give a folder of images or files before the "
            "options."
        )
    return tuple(path.absolute() for path in options.data)


def _request(options: argparse.Namespace) -> "tuple[TrainingRequest, Path]":
    """What is to be trained, and where: as said now, over what was said when the training in --resume began."""
    from padis_gui.core.training.plan import TrainingRequest, load_request

    if options.resume is None:
        folder, before = options.out, TrainingRequest(data=_sources(options))
    else:
        folder, before = options.resume, load_request(options.resume)
    changes: dict[str, Any] = {
        "data_settings": _data_settings(options, before.data_settings),
        "training": _changed(options, before.training),
        "network": _changed(options, before.network),
        "sight": _changed(options, before.sight),
    }
    if options.data:
        changes["data"] = _sources(options)
    if options.start_from is not None:
        changes["start_from"] = options.start_from.absolute()
    for name in ("name", "device", "precision"):
        if getattr(options, name) is not None:
            changes[name] = getattr(options, name)
    return before.model_copy(update=changes), folder


def _within_minutes(
    request: "TrainingRequest", folder: Path, options: argparse.Namespace, world: "World"
) -> "TrainingRequest":
    """The request with the steps that there is time for here, and what follows from their number unless it was given."""
    from padis_gui.core.prior.checkpoint import read_record
    from padis_gui.core.settings.machine import precision_on
    from padis_gui.core.training.plan import has_request
    from padis_gui.core.training.run import seconds_a_step
    from padis_gui.core.training.settings import fitted_to, steps_within

    given = given_settings(options, TrainingSettings)
    if "steps" in given:
        raise SettingError(
            "Steps or minutes were wanted, but both were given; leave out --steps or --minutes."
        )
    if not 0 < options.minutes <= _MOST_MINUTES:
        raise SettingError(
            f"A time of up to {_MOST_MINUTES} minutes was wanted, but {options.minutes:g} was given; change --minutes."
        )
    if options.resume is not None or has_request(folder):
        raise SettingError(
            f"A training that begins was wanted with --minutes, but {folder} holds one already; say with --steps how far "
            "it is to go."
        )
    if world.size > 1:
        raise SettingError(
            "One process was wanted with --minutes, but there are several, whose paces differ; give --steps instead."
        )
    settled = request.settled()
    size, network = settled.data_settings.image_size, settled.network
    if request.start_from is not None:
        found = read_record(request.start_from).network
        if isinstance(found, NetworkSettings):  # others are refused when the training begins
            slices = {"slices": network.slices, "slices_out": network.slices_out}
            network = found.model_copy(update=slices)
    precision = precision_on(world.device, request.precision)
    pace = seconds_a_step(request.training, network, size, world.device, precision)
    steps = steps_within(60 * options.minutes, pace)
    if not options.events:
        say(f"{options.minutes:g} minutes: {steps} steps of {pace:.2g} s")
    fitted = fitted_to(request.training, steps, size, pace)
    return request.model_copy(update={"training": make(TrainingSettings, fitted.model_dump() | given)})


def _check_files(request: "TrainingRequest", folder: Path) -> None:
    """A training that goes on writes its own files; a new one must not write over what it learns from."""
    from padis_gui.core.training.plan import REQUEST_FILE
    from padis_gui.core.training.state import PRIOR_FILE, STATE_FILE

    named = [*request.data, *_named(request.data_settings), *filter(None, [request.start_from])]
    check_names(folder, *named)
    written = [folder / name for name in (PRIOR_FILE, STATE_FILE, REQUEST_FILE)]
    check_outputs(named, [] if (folder / STATE_FILE).exists() or not folder.is_dir() else written)


def _named(settings: DataSettings) -> list[Path]:
    return [Path(settings.subjects)] if settings.subjects else []


def _changed(options: argparse.Namespace, before: S) -> S:
    return make(type(before), before.model_dump() | given_settings(options, type(before)))


def _data_settings(options: argparse.Namespace, before: DataSettings) -> DataSettings:
    given = given_settings(options, DataSettings)
    if options.window is not None:
        given |= dict(zip(("window_low", "window_high"), chosen_window(options.window), strict=True))
    if subjects := given.get("subjects"):
        given["subjects"] = str(Path(subjects).absolute())
    return make(DataSettings, before.model_dump() | given)
