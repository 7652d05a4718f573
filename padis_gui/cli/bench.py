"""`padis-gui bench solvers` and `padis-gui bench display`: what this machine does with the time."""

import argparse
import importlib
import json
from pathlib import Path

from padis_gui.core.errors import InputError

_SOLVERS_HELP = """\
Run each solver on one simulated scan and print, a line a solver:

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

_DISPLAY_HELP = """\
Run a solver in a real window with the live display off and on, and print what the display costs. Set
QT_QPA_PLATFORM=offscreen where there is no screen.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two subjects and their options."""
    from padis_gui.core.solvers import SOLVERS
    from padis_gui.core.tiling import TILINGS

    names = ", ".join(s.name for s in SOLVERS)
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    raw = argparse.RawDescriptionHelpFormatter

    solvers = subjects.add_parser(
        "solvers",
        help="time, shares, memory and PSNR of each solver",
        description=_SOLVERS_HELP,
        formatter_class=raw,
    )
    solvers.add_argument("--image", type=Path, metavar="FILE", help="default: the bundled CT slices")
    solvers.add_argument("--page", type=int, default=0, metavar="N", help="page of a multi-page file, from 0")
    solvers.add_argument("--prior", type=Path, metavar="FILE", help="default: the bundled prior")
    solvers.add_argument("--views", metavar="N", help="number of projections (default: 20)")
    solvers.add_argument("--noise", metavar="S", help="noise relative to the sinogram's RMS, 0.01 = 1 %%")
    solvers.add_argument("--patch", metavar="P", help="patch size that the prior was trained on")
    solvers.add_argument("--tiling", metavar="NAME", help=f"one of {', '.join(t.name for t in TILINGS)}")
    solvers.add_argument(
        "--solver", action="extend", nargs="+", default=[], metavar="NAME",
        help=f"which solvers, the baseline first: {names} (default: all)",
    )  # fmt: skip
    solvers.add_argument("--steps", type=int, metavar="N", help="noise levels, for every solver")
    solvers.add_argument("--full", action="store_true", help="run long solvers to their end")
    solvers.add_argument("--seed", type=int, default=0, metavar="N")
    solvers.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N")
    solvers.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    solvers.add_argument(
        "--in-process", action="store_true", help="run all in this process; memory figures are then mixed"
    )
    solvers.add_argument("--json", type=Path, metavar="FILE", help="write the same figures as JSON")

    display = subjects.add_parser(
        "display", help="what the live display costs", description=_DISPLAY_HELP, formatter_class=raw
    )
    display.add_argument("--steps", type=int, default=None, metavar="N", help="noise levels of the run")
    display.add_argument("--solver", default=None, metavar="NAME", help=f"one of {names}")
    display.add_argument("--seed", type=int, default=0, metavar="N")
    display.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the figures as JSON")


def run(options: argparse.Namespace) -> int:
    """Measure the subject asked for."""
    if options.json is not None and not options.json.resolve().parent.is_dir():
        raise InputError(
            f"A file to write was wanted, but the folder of {options.json} does not exist; make it first."
        )
    if options.subject == "display":
        import torch  # noqa: F401 - before any Qt import (pytorch #166628)

        # the one place below the gui that opens it, and only when asked
        return int(importlib.import_module("padis_gui.gui.bench_display").main(options))
    return _solvers(options)


def _solvers(options: argparse.Namespace) -> int:
    from rich.console import Console

    from padis_gui.core.bench import BenchRequest, bench_solvers
    from padis_gui.core.checkpoint import write_atomically
    from padis_gui.core.operators.ct import ParallelBeamSettings
    from padis_gui.core.resources import DEFAULT_PRIOR, DEMO_IMAGE, resource
    from padis_gui.core.settings import make
    from padis_gui.core.tiling import TilingSettings

    scan = {"views": options.views, "noise": options.noise}
    cut = {"strategy": options.tiling, "patch": options.patch}
    problem = make(ParallelBeamSettings, {k: v for k, v in scan.items() if v is not None})
    request = BenchRequest(
        image=options.image or resource(DEMO_IMAGE),
        page=options.page,
        prior=options.prior or resource(DEFAULT_PRIOR),
        problem=problem,
        tiling=make(TilingSettings, {k: v for k, v in cut.items() if v is not None}),
        steps=options.steps,
        full=options.full,
        seed=options.seed,
        device=options.device,
        precision=None if options.precision == "auto" else options.precision,
    )
    with Console(stderr=True).status("") as status:
        timings = bench_solvers(
            request,
            options.solver,
            isolated=not options.in_process,
            started=lambda name: status.update(f"timing {name}"),
        )
    rows = [timing.as_dict() for timing in timings]
    first = timings[0]
    print(
        f"{request.image.name} page {request.page}, {problem.views} views, "
        f"noise {problem.noise:g}, seed {request.seed}; {first.device}, {first.precision}"
    )
    print(table(rows))
    if any(row["shortened"] for row in rows):
        print("* other settings than the solver's own: compare time per evaluation, not PSNR")
    if options.json is not None:
        report = {
            "image": request.image.name,
            "page": request.page,
            "prior": request.prior.name,
            "problem": request.problem.model_dump(mode="json"),
            "tiling": request.tiling.model_dump(mode="json"),
            "seed": request.seed,
            "isolated": not options.in_process,
            "baseline": first.solver,
            "solvers": rows,
        }
        write_atomically(options.json, (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())
    return 0


_HEADINGS = (
    "solver", "evaluations", "s/evaluation", "seconds", "network", "operator", "other",
    "peak MiB", "added MiB", "PSNR", "ratio",
)  # fmt: skip


def table(rows: list[dict[str, object]]) -> str:
    """The figures as aligned text, one line a solver."""
    lines = [_HEADINGS]
    for row in rows:
        mark = "*" if row["shortened"] else " "
        quality = "diverged" if row["diverged"] else "∞" if row["psnr"] is None else f"{row['psnr']:.2f}"
        lines.append(
            (
                f"{row['solver']}",
                f"{row['evaluations']}",
                f"{row['seconds_per_evaluation']:.4f}",
                f"{row['seconds']:.2f}",
                f"{row['network_share']:.1f} %",
                f"{row['operator_share']:.1f} %",
                f"{row['other_share']:.1f} %",
                f"{row['peak_memory_mb']:.0f}",
                f"{row['added_memory_mb']:.0f}",
                f"{quality}{mark}",
                f"{row['ratio']:.2f}",
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
