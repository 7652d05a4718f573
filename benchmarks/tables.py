"""The subjects of `padis-gui bench` that need no window: measure, print one table, write JSON where asked."""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from benchmarks.denoiser import (
    GOAL_MEMORY,
    GOAL_TIME,
    DenoiserRequest,
    bench_denoiser,
    memory_growth,
    time_deviation,
)
from benchmarks.operator import GOAL_SPEEDUP, OperatorRequest, bench_operator, check_range
from benchmarks.options import keep
from benchmarks.precision import GOAL_COST, PrecisionRequest, bench_precision
from benchmarks.solvers import BenchRequest, bench_solvers
from benchmarks.startup import bench_startup
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.presets import DEFAULT_PRIOR, find_preset, resource
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import SettingError


def solvers(options: argparse.Namespace) -> int:
    """`padis-gui bench solvers`."""
    request = dataclasses.replace(
        _reconstruction(options),
        page=options.page,
        full=options.full,
        precision=None if options.precision == "auto" else options.precision,
    )
    with _progress() as started:
        timings = bench_solvers(request, options.solver, isolated=not options.in_process, started=started)
    rows = [timing.as_dict() for timing in timings]
    first = timings[0]
    where = "" if find_physics(request.physics).imageless else f"{request.image.name} page {request.page}, "
    print(f"{where}{_described(request)}, seed {request.seed}; {first.device}, {first.precision}")
    headings = (
        "solver", "evaluations", "s/evaluation", "seconds", "network", "operator", "other",
        "peak MiB", "added MiB", "PSNR", "ratio",
    )  # fmt: skip
    cells = [
        (
            row["solver"],
            row["evaluations"],
            _number(row["seconds_per_evaluation"], ".4f"),
            _number(row["seconds"], ".2f"),
            *(f"{row[share]:.1f} %" for share in ("network_share", "operator_share", "other_share")),
            _number(row["peak_memory_mb"], ".0f"),
            _number(row["added_memory_mb"], ".0f"),
            ("diverged" if row["diverged"] else _quality(timing.psnr)) + ("*" if row["shortened"] else " "),
            _number(row["ratio"], ".2f"),
        )
        for row, timing in zip(rows, timings, strict=True)
    ]
    print(table(headings, cells))
    if any(row["shortened"] for row in rows):
        print("* other settings than the solver's own: compare time per evaluation, not PSNR")
    if options.json is not None:
        about = _about(request) | {"page": request.page, "isolated": not options.in_process}
        return keep(options.json, about | {"baseline": first.solver, "solvers": rows})
    return 0


def operator(options: argparse.Namespace) -> int:
    """`padis-gui bench operator`."""
    request = OperatorRequest(
        size=options.size, views=options.views, repeats=options.repeats, device=options.device
    )
    with _progress() as started:
        timings = bench_operator(request, started)
    on_gpu = timings[0].round_trips is not None
    print(
        f"parallel beam, {request.size} x {request.size} px, {request.views} views; {timings[0].device}; median "
        f"of {request.repeats} rounds"
    )
    headings = (
        "operator",
        "forward ms",
        "speed-up",
        "adjoint ms",
        "speed-up",
        "difference",
        "waits for host",
    )
    cells = [
        (
            t.variant,
            _number(1000 * t.forward_seconds, ".3f"),
            _number(t.forward_speedup, ".2f"),
            _number(1000 * t.adjoint_seconds, ".3f"),
            _number(t.adjoint_speedup, ".2f"),
            _number(t.difference, ".1e"),
            "yes" if t.round_trips else "no",
        )[: None if on_gpu else -1]
        for t in timings
    ]
    print(table(headings[: None if on_gpu else -1], cells))
    ours = timings[-1]
    if on_gpu:
        print(f"round trips through the host: {'some' if ours.round_trips else 'none'} (goal: none)")
    else:
        slower = min(ours.forward_speedup, ours.adjoint_speedup)
        print(f"{slower:.2f} times as fast or more (goal: at least {GOAL_SPEEDUP:g})")
    if options.json is not None:
        report = dataclasses.asdict(request) | {"baseline": timings[0].variant}
        return keep(options.json, report | {"operators": [timing.as_dict() for timing in timings]})
    return 0


def denoiser(options: argparse.Namespace) -> int:
    """`padis-gui bench denoiser`."""
    whole = () if options.whole is None else tuple(options.whole) or (256, 512, 1024)
    request = DenoiserRequest(
        prior=options.prior or resource(DEFAULT_PRIOR),
        sizes=tuple(options.sizes),
        whole=whole,
        patch=options.patch,
        repeats=options.repeats,
        device=options.device,
        precision=None if options.precision == "auto" else options.precision,
    )
    with _progress() as started:
        timings = bench_denoiser(request, started)
    print(
        f"{request.prior.name}, one denoiser call; {timings[0].device}, {timings[0].precision}; median of "
        f"{request.repeats} rounds"
    )
    headings = ("size", "tiles", "seconds", "s/megapixel", "ratio", "peak MiB", "added MiB", "ratio")
    cells = [
        (
            f"{t.size}{', whole' if t.whole else ''}",
            f"{t.tiles} of {t.patch} px",
            _number(t.seconds, ".3f"),
            _number(t.seconds_per_megapixel, ".3f"),
            _number(t.time_ratio, ".2f"),
            _number(t.peak_memory_mb, ".0f"),
            _number(t.added_memory_mb, ".0f"),
            _number(t.memory_ratio, ".2f"),
        )
        for t in timings
    ]
    print(table(headings, cells))
    deviation, growth = time_deviation(timings), memory_growth(timings)
    print(f"time a megapixel: within {deviation:.1%} of its median (goal: {GOAL_TIME:.0%})")
    if growth is not None:
        print(f"peak memory from 512 px up: within {growth:.1%} of the least (goal: {GOAL_MEMORY:.0%})")
    if options.json is not None:
        report = {
            "prior": request.prior.name,
            "repeats": request.repeats,
            "time_deviation": deviation,
            "memory_growth": growth,
            "calls": [timing.as_dict() for timing in timings],
        }
        return keep(options.json, report)
    return 0


def startup(options: argparse.Namespace) -> int:
    """`padis-gui bench startup`."""
    check_range("The number of rounds", options.rounds, 1, 1000)
    with _progress() as started:
        found = bench_startup(options.rounds, not options.no_window, started)
    print(
        f"seconds of user and system, the least of {options.rounds} rounds; Python {sys.version.split()[0]}"
    )
    cells = [
        (
            start.name,
            _number(start.seconds, ".2f") + (" on the clock" if start.wall else ""),
            "yes" if start.torch else "no",
            ""
            if start.goal is None
            else f"{start.goal:g} {'met' if start.seconds <= start.goal else 'missed'}",
        )
        for start in found
    ]
    print(table(("start", "seconds", "torch", "goal"), cells))
    if options.json is not None:
        return keep(options.json, {"rounds": options.rounds, "starts": [start.as_dict() for start in found]})
    return 0


def precision(options: argparse.Namespace) -> int:
    """`padis-gui bench precision`."""
    solver = options.solver or find_preset(options.preset).solver
    request = PrecisionRequest(
        run=_reconstruction(options),
        solver=solver,
        pages=tuple(options.page),
        variants=tuple(options.variant),
        repeats=options.repeats,
    )
    with _progress() as started:
        timings = bench_precision(request, started)
    pages = ", ".join(str(page) for page in request.pages)
    print(
        f"{request.run.prior.name}; {timings[0].device}; call: median of {request.repeats} rounds; PSNR: {solver} on "
        f"{request.run.image.name} page {pages}, {_described(request.run)}, seed {request.run.seed}"
    )
    headings = ("variant", "call ms", "speed-up", "PSNR", "cost dB")
    cells = [
        (
            f"{t.label}{' *' if t.default else ''}",
            _number(None if t.seconds is None else 1000 * t.seconds, ".1f"),
            _number(t.speedup, ".2f"),
            _number(t.psnr, ".3f"),
            _number(t.cost, "+.3f"),
        )
        for t in timings
    ]
    print(table(headings, cells))
    for t in timings:
        if t.skipped:
            print(f"{t.label}: {t.skipped}")
        elif t.default and t.cost is not None:
            print(f"* the default here costs {t.cost:+.3f} dB (goal: less than {GOAL_COST:g})")
    if options.json is not None:
        about = _about(request.run) | {"solver": solver, "pages": request.pages, "repeats": request.repeats}
        return keep(options.json, about | {"variants": [timing.as_dict() for timing in timings]})
    return 0


def _reconstruction(options: argparse.Namespace) -> BenchRequest:
    """The preset's problem, changed by what was given."""
    preset = find_preset(options.preset)
    physics = find_physics(preset.physics)
    given = {"views": options.views, "noise": options.noise}
    cut = {"strategy": options.tiling, "patch": options.patch}
    problem = {**preset.problem, **{k: v for k, v in given.items() if v is not None}}
    for name in problem.keys() - physics.settings_type.model_fields.keys():
        raise SettingError(
            f"A setting of {physics.name} was wanted, but --{name} is none; leave it out or choose another preset."
        )
    return BenchRequest(
        image=options.image or resource(preset.demo),
        prior=options.prior or resource(preset.prior),
        physics=physics.name,
        problem=make(physics.settings_type, problem),
        tuned={preset.solver: preset.settings} | preset.others,
        tiling=make(TilingSettings, {k: v for k, v in cut.items() if v is not None}),
        steps=options.steps,
        seed=options.seed,
        device=options.device,
    )


def _described(request: BenchRequest) -> str:
    """The problem and what of its settings is not the default."""
    values = request.problem.model_dump(exclude_defaults=True)
    views = {"views": getattr(request.problem, "views", None)}
    told = {name: value for name, value in (views | values).items() if value is not None}
    return ", ".join([request.physics, *(f"{name} {value}" for name, value in told.items())])


def _about(request: BenchRequest) -> dict[str, Any]:
    """What was reconstructed, for JSON."""
    return {
        "image": request.image.name,
        "prior": request.prior.name,
        "physics": request.physics,
        "problem": request.problem.model_dump(mode="json"),
        "tiling": request.tiling.model_dump(mode="json"),
        "seed": request.seed,
    }


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line on standard error that says what is being timed; it stands still, so that it takes no time."""
    with Console(stderr=True).status("", refresh_per_second=1) as status:
        yield lambda name: status.update(f"timing {name}")


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _quality(psnr: float | None) -> str:
    return "–" if psnr is None else "∞" if psnr == float("inf") else f"{psnr:.2f}"


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned text, one line a row; the first column to the left, the others to the right."""
    lines = [[str(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
