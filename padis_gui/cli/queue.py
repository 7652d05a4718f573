"""`padis-gui queue QUEUE.json --out FOLDER`: the runs of a queue that was saved in the window."""

import argparse
import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padis_gui.cli.outputs import kept, write_json
from padis_gui.cli.terminal import say
from padis_gui.core.settings.errors import InputError, PadisError

if TYPE_CHECKING:
    from padis_gui.core.runs.queue import QueuedRun
    from padis_gui.core.runs.repeat import Repeater

log = logging.getLogger(__name__)

_HELP = """\
Run a queue that was saved in the window (Queue panel, Save), one run after the other. Each result becomes a float32
TIFF in FOLDER under the name of its run, with its recipe inside; FOLDER/summary.json lists what has become of each.

A run that fails says why and the others go on; the exit code is then 1. The same command goes on after an
interruption: a run whose TIFF is there already is not run again.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    parser.description, parser.formatter_class = _HELP, argparse.RawDescriptionHelpFormatter
    parser.add_argument("queue", type=Path, metavar="QUEUE.json", help="what the window's Queue panel saved")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="where results go; made where it is missing"
    )
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N")


def run(options: argparse.Namespace) -> int:
    """Run the queue; writes the results and the summary."""
    from padis_gui.cli.progress import progress_bar
    from padis_gui.core.runs.inputs import check_run_outputs, inputs_of
    from padis_gui.core.runs.queue import file_names, read_queue
    from padis_gui.core.runs.repeat import Repeater
    from padis_gui.core.settings.machine import pick_device

    runs = read_queue(options.queue)
    repeater = Repeater(pick_device(options.device))
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"A folder for the results was wanted, but {options.out} cannot be made ({error.strerror}); choose another."
        ) from None
    summary = options.out / "summary.json"
    names = file_names(r.name for r in runs)
    inputs = [file for queued in runs for file in inputs_of(queued.recipe)]
    check_run_outputs([options.queue, *inputs], [summary, *(options.out / name for name in names)])
    lines: list[dict[str, Any]] = []
    found = {"queue": str(options.queue.resolve()), "runs": lines}
    with progress_bar("Queue") as bar:
        for number, (queued, name) in enumerate(zip(runs, names, strict=True)):
            bar(number, len(runs), queued.name)
            lines.append({"name": queued.name} | _finish(queued, options.out / name, repeater))
            with contextlib.suppress(InputError):  # the last time says it
                write_json(summary, found)
        bar(len(runs), len(runs), "")
    _, written = kept(summary, lambda to: write_json(to, found))
    for line in lines:
        psnr, seconds = line["metrics"].get("psnr"), line["seconds"]
        quality = f"PSNR {psnr:.2f} dB, " if psnr is not None else ""
        took = "there already" if seconds is None else f"{seconds:.1f} s"
        say(f"{line['name']}: {line['error'] or quality + took + ', ' + line['file']}")
    return 1 if any(line["error"] for line in lines) else 0 if written == summary else 2


def _finish(queued: "QueuedRun", path: Path, repeater: "Repeater") -> dict[str, Any]:
    """A line of the summary: what has become of one run."""
    from padis_gui.core.exports.about import About, read_recipe
    from padis_gui.core.exports.tiff import save_result
    from padis_gui.core.images.metrics import as_json
    from padis_gui.core.runs.queue import same_run

    line: dict[str, Any] = {
        "file": path.name, "seed": queued.recipe.seed, "solver": queued.recipe.solver, "metrics": {}, "seconds": None,
        "error": "",
    }  # fmt: skip
    try:
        if path.exists():
            found, metrics = read_recipe(path)
            if same_run(found, queued.recipe):
                return line | {"metrics": metrics}
            raise InputError(
                f"{path} was wanted for this run, but holds the result of another; choose another folder."
            )
        done = repeater.run(queued.recipe)
        _, written = kept(path, lambda to: save_result(to, done, About.of(done, queued.name)))
        line |= {"metrics": as_json(done.metrics), "seconds": done.seconds}
        if written != path:
            line |= {
                "file": str(written),
                "error": f"{path} cannot be written; the result is kept in {written}.",
            }
        return line
    except PadisError as error:
        return line | {"error": str(error)}
    except Exception as error:  # one broken run must not cost the others
        log.exception("A run failed: %s", queued.name)
        return line | {"error": f"{type(error).__name__}: {error}"}
