"""`padis-gui train DATA --out DIR`: train or resume a patch prior, with a progress bar."""

import argparse
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from padis_gui.cli.options import add_settings, given_settings
from padis_gui.core.network import NetworkSettings
from padis_gui.core.settings import make
from padis_gui.core.training.data_settings import DataSettings
from padis_gui.core.training.settings import TrainingSettings

LOG_EVERY = 50
_NOT_FOR_USERS = ("image_channels",)  # follows from the data
_NOT_YET_FOR_USERS = ("validation",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    parser.add_argument("data", type=Path, help="a multi-page TIFF, a stacked NPY or a folder of images")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where checkpoints and the log go"
    )
    parser.add_argument("--name", default=None, help="the prior's name (default: the folder's)")
    parser.add_argument("--window", default=None, metavar="LOW,HIGH", help="intensities that map to 0 and 1")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    add_settings(parser, DataSettings, skip=_NOT_YET_FOR_USERS)
    add_settings(parser, TrainingSettings)
    add_settings(parser, NetworkSettings, skip=_NOT_FOR_USERS)


def _window(text: str) -> tuple[float, float]:
    from padis_gui.core.errors import SettingError

    try:
        low, high = (float(v) for v in text.split(","))
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise SettingError(
            f"A window LOW,HIGH with LOW < HIGH was wanted, but {text!r} was given; write -1000,1000."
        )
    return low, high


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """Grows by the signal's number on Ctrl-C or SIGTERM, to be looked at between two steps.

    Only there is the training state whole. A second signal interrupts at once, without saving.
    """
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(options: argparse.Namespace) -> int:
    """Train until done or interrupted; Ctrl-C and SIGTERM save a checkpoint first."""
    from padis_gui.cli.progress import progress_bar
    from padis_gui.core.device import describe_device, fastest_precision, pick_device, use_all_threads
    from padis_gui.core.training.dataset import load_training_data
    from padis_gui.core.training.train import PRIOR_FILE, train

    settings = make(TrainingSettings, given_settings(options, TrainingSettings))
    given = given_settings(options, DataSettings)
    if options.window is not None:
        given |= dict(zip(("window_low", "window_high"), _window(options.window), strict=True))
    choices = make(DataSettings, given)
    channels = {"image_channels": choices.channels}
    network = make(NetworkSettings, given_settings(options, NetworkSettings) | channels)
    device = pick_device(options.device)
    use_all_threads()
    precision = fastest_precision(device) if options.precision == "auto" else options.precision
    data = load_training_data(options.data, choices, seed=settings.seed)
    print(
        f"{len(data.images)} images of {len(data.subjects)} subjects; {describe_device(device)}, "
        f"{precision}; checkpoints go to {options.out}"
    )
    notes = {"data": options.data.name, "images": len(data.images), "subjects": len(data.subjects)}
    notes |= {"device": describe_device(device), "precision": precision}
    steps = train(
        data,
        options.out,
        settings,
        network,
        name=options.name or options.out.resolve().name,
        device=device,
        precision=precision,
        notes=notes,
    )
    log_path = options.out / "log.jsonl"
    with (
        _asked_to_stop() as stop,
        progress_bar("training") as bar,
        log_path.open("a", encoding="utf-8") as log,
    ):
        try:
            for event in steps:
                if event.step % LOG_EVERY == 0 or event.step == event.total:
                    record: dict[str, Any] = {
                        "step": event.step, "loss": round(event.average, 5), "lr": event.learning_rate,
                        "patches": event.patches_seen, "seconds": round(event.seconds, 1),
                    }  # fmt: skip
                    log.write(json.dumps(record) + "\n")
                    log.flush()
                bar(event.step, event.total, f"loss {event.average:.4f}  patch {event.patch}")
                if stop and event.step < event.total:
                    raise KeyboardInterrupt
        finally:
            steps.close()
    print(f"The prior is {options.out / PRIOR_FILE}")
    return 0
