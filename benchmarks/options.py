"""`padis-gui bench SUBJECT`: what this machine does with the time."""

import argparse
import importlib
from pathlib import Path
from typing import Any

from padis_gui.cli.outputs import kept, write_json
from padis_gui.core.runs.presets import DEFAULT_PRESET, PRESETS

_SOLVERS_HELP = """\
Run each solver on one simulated measurement and print, a line a solver:

  evaluations    denoiser evaluations of the whole image
  s/evaluation   seconds for one of them, with the data step and all else that belongs to it
  seconds        the whole run, without reading files, building the system matrix and one warm-up step
  network, operator, other
                 share of that time in the network (backward passes included), in the operator and its
                 adjoint, and in everything else; the three sum to 100 %
  peak MiB       largest memory while the solver ran: resident on the CPU, allocated on CUDA
  added MiB      how much of it the run added to the loaded program, prior and problem
  PSNR           of the last estimate, in dB
  ratio          seconds per evaluation relative to the first solver in the table

Each solver runs in a fresh process. PaDIS-DPS, which takes 1000 evaluations, is cut to a few unless --full is
given: its time per evaluation is right, its PSNR is not that of a whole run (marked *).
"""

_OPERATOR_HELP = """\
Time the parallel-beam operator and its adjoint against ASTRA's own OpTomo, which works in host memory. On a GPU
OpTomo includes the copies there and back, and the table says whether ours waits for the host.
"""

_DENOISER_HELP = """\
Time one whole-image denoiser call on square images of growing size, and find the peak memory of each in fresh
processes: as many as there are rounds, each for as many pixels as the largest size has. The time a megapixel and
the memory should not depend on the size. --whole adds the same network over the whole image in one tile, whose
memory grows with the area.
"""

_PRECISION_HELP = """\
Time one whole-image denoiser call for each number format and layout of the network, in turns, and let each
reconstruct the same measurement to see what it costs in PSNR. * marks what the program uses on this device.
Compiled variants take a minute or two to prepare.
"""

_DISPLAY_HELP = """\
Run solvers in a real window without and with the live display, in turns, and print a line for each window and
solver:

  default        the window as it opens
  everything     twelve panes on different sources, the whole overlay, all curves, a line, a region, every dock
  off, on        seconds of a run without and with display, in the median of ten
  slowdown       the ratio of one to the other, less 1, in the median of ten pairs
  says           what the window itself says the display takes, as in the line under Run
  UI work        the UI thread's own share of the time, whether it kept the solver waiting or not
  longest, mean  how long the UI thread kept events waiting, in ms: the longest time of a run in the median of ten, and
                 the mean of all times above 6 ms

--runs N does many quick runs instead and counts memory, threads, widgets and objects on the way. The slope is fitted
to the second half: before, results and iterates fill the budgets that the program gives them.
Set QT_QPA_PLATFORM=offscreen where there is no screen.
"""


_STARTUP_HELP = """\
Time what the program costs before it computes, each in a fresh process:

  commands   user and system time of commands that only read or refuse (goal: 0.3 s), and whether they import torch
  reconstruct, beside its step
             all of a reconstruction of one step but that step (goal: 1.7 s), and its parts
  window     from the start of the process to the first picture, on the clock (goal: 2 s)

The least of the rounds counts. Set QT_QPA_PLATFORM=offscreen where there is no screen.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subjects and their options."""
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")

    def subject(name: str, summary: str, description: str) -> argparse.ArgumentParser:
        added = subjects.add_parser(
            name, help=summary, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        added.add_argument("--json", type=Path, metavar="FILE", help="write the same figures as JSON")
        return added

    _add_solvers(subject("solvers", "time, shares, memory and PSNR of each solver", _SOLVERS_HELP))
    _add_operator(subject("operator", "the CT operator against ASTRA's own", _OPERATOR_HELP))
    _add_denoiser(subject("denoiser", "time and memory of a denoiser call at growing sizes", _DENOISER_HELP))
    _add_precision(
        subject("precision", "number formats: their time, and their cost in PSNR", _PRECISION_HELP)
    )
    _add_startup(subject("startup", "what the program costs before it computes", _STARTUP_HELP))
    _add_display(subject("display", "what the live display costs", _DISPLAY_HELP))


def _add_reconstruction(parser: argparse.ArgumentParser) -> None:
    """What is reconstructed, and with what."""
    from padis_gui.core.prior.tiling import TILINGS

    parser.add_argument("--image", type=Path, metavar="FILE", help="default: the preset's bundled image")
    parser.add_argument("--prior", type=Path, metavar="FILE", help="default: the preset's bundled prior")
    parser.add_argument(
        "--preset", default=DEFAULT_PRESET, metavar="NAME",
        help=f"the problem, one of {PRESETS.listed} (default: {DEFAULT_PRESET})",
    )  # fmt: skip
    parser.add_argument("--views", metavar="N", help="number of projections of a CT problem")
    parser.add_argument("--noise", metavar="S", help="noise of the measurement, as the problem defines it")
    parser.add_argument("--patch", metavar="P", help="patch size that the prior was trained on")
    parser.add_argument("--tiling", metavar="NAME", help=f"one of {TILINGS.listed}")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N")


def _add_solvers(parser: argparse.ArgumentParser) -> None:
    from padis_gui.core.solvers.registry import SOLVERS

    _add_reconstruction(parser)
    parser.add_argument("--page", type=int, default=0, metavar="N", help="page of a multi-page file, from 0")
    parser.add_argument(
        "--solver", action="extend", nargs="+", default=[], metavar="NAME",
        help=f"which solvers, the baseline first: {SOLVERS.listed} (default: all)",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, metavar="N", help="noise levels, for every solver that has them")
    parser.add_argument("--full", action="store_true", help="run long solvers to their end")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument(
        "--in-process", action="store_true", help="run all in this process; memory figures are then mixed"
    )


def _add_operator(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=256, metavar="N", help="side of the image in px")
    parser.add_argument(
        "--views", type=int, default=20, metavar="N", help="number of projections (default: 20)"
    )
    parser.add_argument("--repeats", type=int, default=30, metavar="N", help="rounds (default: 30)")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N")


def _add_denoiser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prior", type=Path, metavar="FILE", help="default: the bundled prior")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048], metavar="N", help="sides in px"
    )
    parser.add_argument(
        "--whole", type=int, nargs="*", metavar="N",
        help="compare with the whole image in one tile at these sides (without any: 256 512 1024)",
    )  # fmt: skip
    parser.add_argument("--patch", type=int, metavar="P", help="patch size that the prior was trained on")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="rounds (default: 3)")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")


def _add_precision(parser: argparse.ArgumentParser) -> None:
    from benchmarks.precision import VARIANTS
    from padis_gui.core.solvers.registry import SOLVERS

    _add_reconstruction(parser)
    parser.add_argument(
        "--page", type=int, nargs="+", default=[0], metavar="N",
        help="pages of a multi-page file, from 0; PSNR is their mean (default: 0)",
    )  # fmt: skip
    parser.add_argument(
        "--variant", action="extend", nargs="+", default=[], metavar="NAME",
        help=f"which variants, the baseline first: {VARIANTS.listed} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--solver", metavar="NAME",
        help=f"one of {SOLVERS.listed} (default: the preset's)",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, metavar="N", help="noise levels of the solver")
    parser.add_argument("--repeats", type=int, default=10, metavar="N", help="rounds (default: 10)")


def _add_display(parser: argparse.ArgumentParser) -> None:
    from padis_gui.core.solvers.registry import SOLVERS

    parser.add_argument("--steps", type=int, metavar="N", help="noise levels of the runs (with --runs: 2)")
    parser.add_argument(
        "--solver",
        metavar="NAME",
        help=f"one of {SOLVERS.listed} (default: the preset's, then diffpir with 40 steps)",
    )
    parser.add_argument(
        "--window", choices=("default", "everything"), help="only this state of the window (default: both)"
    )
    parser.add_argument(
        "--runs", type=_several, metavar="N", help="count memory and objects over so many runs"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")


def _several(text: str) -> int:
    count = int(text)
    if count < 8:
        raise argparse.ArgumentTypeError(f"at least 8 runs are wanted to see growth, but {count} came")
    return count


def keep(path: Path, figures: dict[str, Any]) -> int:
    """Write figures as JSON; where that fails beside it or elsewhere, which is said; returns the exit code."""
    _, written = kept(path, lambda to: write_json(to, figures))
    return 0 if written == path else 1


def _add_startup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds (default: 5)")
    parser.add_argument("--no-window", action="store_true", help="leave the window out")


def run(options: argparse.Namespace) -> int:
    """Measure the subject asked for."""
    from padis_gui.core.runs.inputs import check_run_outputs

    check_run_outputs([getattr(options, name, None) for name in ("image", "prior")], [options.json])
    if options.subject == "display":
        import torch  # noqa: F401 - before any Qt import (pytorch #166628)

        # the one place below the gui that opens it, and only when asked
        return int(importlib.import_module("benchmarks.display").main(options))
    from benchmarks import tables as bench_tables

    return int(getattr(bench_tables, options.subject)(options))
