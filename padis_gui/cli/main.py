"""`padis-gui <verb>`: parse, dispatch, and turn a user's error into one sentence and exit code 2."""

import argparse
import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence

from padis_gui import __version__
from padis_gui.cli.terminal import PlainFormatter, printable, say
from padis_gui.core import uncollected
from padis_gui.core.settings.errors import DivergenceError, PadisError
from padis_gui.core.settings.untrusted import MOST_THREADS

# verb -> (module, one line of help). A module has add_arguments(parser) and run(arguments) -> exit code.
VERBS = {
    "volume": (
        "padis_gui.cli.volume",
        "reconstruct every slice of a stack, here or on many workers",
    ),
    "reconstruct": (
        "padis_gui.cli.reconstruct",
        "reconstruct one image, from a scan or from a simulated measurement",
    ),
    "generate": ("padis_gui.cli.generate", "draw samples of a prior, without any measurement"),
    "repeat": (
        "padis_gui.cli.repeat",
        "run what made an exported file again, and compare bit for bit",
    ),
    "train": (
        "padis_gui.cli.train",
        "train a patch prior on images of your own, or resume a training",
    ),
    "runs": ("padis_gui.cli.runs", "compare trainings: steps, time, loss, validation, PSNR"),
    "experiment": ("padis_gui.cli.experiment", "compare methods on many images, and make the table"),
    "study": ("padis_gui.cli.study", "answer a built-in question on images of your own, with error bars"),
    "tune": ("padis_gui.cli.tune", "search the settings of a solver on images of your own"),
    "queue": ("padis_gui.cli.queue", "run a queue that was saved in the window"),
    "bench": (
        "padis_gui.cli.bench",
        "measure solvers, the operator, the denoiser or the display on this machine",
    ),
    "convert": ("padis_gui.cli.convert", "write a published snapshot as a native prior"),
    "geometry": ("padis_gui.cli.geometry", "say how a scan was measured, or how to state it in JSON"),
    "inspect": ("padis_gui.cli.inspect", "say what a prior file is, without loading it"),
    "desktop": ("padis_gui.cli.desktop", "put the program into the menu of programs, or take it out"),
}


# The verbs that compute with as many threads as they are told; a volume shares them among its workers, and what is repeated
# or comes from a queue has those of its recipe.
_THREADED = ("reconstruct", "generate", "train", "experiment", "study", "tune", "bench")


def _threads(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MOST_THREADS):
        raise argparse.ArgumentTypeError(
            f"1 to {MOST_THREADS} threads were wanted, but {text[:80]!r} was given"
        )
    return int(text)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"{self.prog}: {_one_line(message)}; see {self.prog} --help.\n")


def _one_line(message: object) -> str:
    """A message on one line, whatever a file is called."""
    return printable(" ".join(str(message).split()))


def parser_of_all(*whole: str | None) -> argparse.ArgumentParser:
    """The program's parser. Only the verbs that are named pay for their imports: the others have no arguments.

    Raises :class:`PadisError` for a verb that this copy has not.
    """
    parser = _Parser(
        prog="padis-gui",
        description="Patch-diffusion reconstruction. Without a verb, the window opens.",
    )
    parser.add_argument("--version", action="version", version=f"padis-gui {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    for name, (_, summary) in VERBS.items():
        sub = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name in whole:
            _add_arguments(sub, name)
    return parser


def parser_of(verb: str) -> argparse.ArgumentParser:
    """The parser of one verb, for what is said of it elsewhere than in the program."""
    summary = VERBS[verb][1]
    parser = _Parser(prog=f"padis-gui {verb}", description=summary[0].upper() + summary[1:] + ".")
    _add_arguments(parser, verb)
    return parser


def _add_arguments(parser: argparse.ArgumentParser, verb: str) -> None:
    importlib.import_module(VERBS[verb][0]).add_arguments(parser)
    if verb in _THREADED:
        parser.add_argument(
            "--threads", type=_threads, default=None, metavar="N",
            help="threads that compute, at most one a core (default: OMP_NUM_THREADS, else every core); the "
            "same number gives the same bits",
        )  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Run one verb; returns the exit code (0 done, 1 the run failed, 2 bad input, 130 interrupted)."""
    chosen = next((a for a in arguments if a in VERBS), None)
    try:
        with uncollected():
            parser = parser_of_all(chosen)
    except PadisError as error:  # the benchmarks of an installed copy
        say(f"padis-gui: {_one_line(error)}", error=True)
        return 2
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that is no text must not end a run
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter("%(levelname)s: %(message)s"))
    if options.verb in _THREADED and options.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)  # processes that are started have as many
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # what the parsers complain of comes back as our one sentence
    for parser_library in ("tifffile", "pydicom", "PIL"):
        logging.getLogger(parser_library).setLevel(logging.CRITICAL)
    try:
        return int(importlib.import_module(VERBS[options.verb][0]).run(options))
    except DivergenceError as error:
        say(f"padis-gui: {_one_line(error)}", error=True)
        return 1
    except PadisError as error:
        say(f"padis-gui: {_one_line(error)}", error=True)
        return 2
    except KeyboardInterrupt:
        say("padis-gui: interrupted.", error=True)
        return 130
