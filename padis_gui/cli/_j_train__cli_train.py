"""`padis-gui train DATA… --out DIR`: train or resume a patch prior, with a progress bar or with events as lines."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padis_gui.cli.options import add_settings, given_settings
from padis_gui.core.prior._j_network__core_network import NetworkSettings
from padis_gui.core.settings._j_declarations__core_settings import S, make
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.training._j_looks__core_training_sight import SightSettings
from padis_gui.core.training._j_settings__core_training_data_settings import DataSettings
from padis_gui.core.training._j_settings__core_training_settings import TrainingSettings

if TYPE_CHECKING:
    from padis_gui.core.training._j_plan__core_training_request import TrainingRequest

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
        "--events", action="store_true",
        help="write every event as a line of JSON instead of a progress bar, and obey the words pause, resume and "
        "stop on standard input",
    )  # fmt: skip
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
        from padis_gui.cli._j_train__cli_train_preview import preview

        return preview(_sources(options), _data_settings(options, DataSettings()), options.preview)
    from padis_gui.cli._j_progress__cli_train_control import Control
    from padis_gui.cli._j_train__cli_train_display import display
    from padis_gui.core.settings._j_machine__core_device import pick_device, use_all_threads
    from padis_gui.core.training._j_log__core_training_events import Stepped
    from padis_gui.core.training._j_optimise__core_training_distributed import world_from_environment
    from padis_gui.core.training._j_run__core_training_run import run_training

    request, folder = _request(options)
    with (
        world_from_environment(pick_device(request.device)) as world,
        Control(words=options.events and world.main) as control,
        display(folder, events=options.events, silent=not world.main) as shown,
    ):
        if world.size == 1:
            use_all_threads()

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
    from padis_gui.core.training._j_plan__core_training_request import TrainingRequest, load_request

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


def _changed(options: argparse.Namespace, before: S) -> S:
    return make(type(before), before.model_dump() | given_settings(options, type(before)))


def _data_settings(options: argparse.Namespace, before: DataSettings) -> DataSettings:
    given = given_settings(options, DataSettings)
    if options.window is not None:
        given |= dict(zip(("window_low", "window_high"), _window(options.window), strict=True))
    if subjects := given.get("subjects"):
        given["subjects"] = str(Path(subjects).absolute())
    return make(DataSettings, before.model_dump() | given)


def _window(text: str) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in text.split(","))
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise SettingError(
            f"A window LOW,HIGH with LOW < HIGH was wanted, but {text!r} was given; write -1000,1000."
        )
    return low, high
