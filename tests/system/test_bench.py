"""`padis-gui bench` and `padis-gui inspect`: the figures add up, and every solver is in the table."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from padis_gui.cli.main import main
from padis_gui.core.bench import (
    SHORT_RUNS,
    BenchRequest,
    Stopwatch,
    TimedOperator,
    bench_solvers,
    timed_network,
)
from padis_gui.core.operators.ct import ParallelBeamSettings
from padis_gui.core.solvers import SOLVERS
from padis_gui.core.tiling import TilingSettings

NAMES = [solver.name for solver in SOLVERS]


@pytest.fixture
def request_(phantom_path: Path, prior_path: Path) -> BenchRequest:
    return BenchRequest(
        image=phantom_path,
        prior=prior_path,
        problem=ParallelBeamSettings(views=6, bins=96),
        tiling=TilingSettings(patch=32),
        steps=3,
        device="cpu",
        precision="float32",
    )


def test_all_solvers_are_timed_and_shares_sum_to_100(request_):
    timings = bench_solvers(request_, isolated=False)
    assert [t.solver for t in timings] == NAMES
    for timing in timings:
        shares = timing.network_share, timing.operator_share, timing.other_share
        assert sum(shares) == pytest.approx(100)
        assert all(share > 0 for share in shares)
        assert timing.seconds == pytest.approx(timing.evaluations * timing.seconds_per_evaluation)
        assert timing.peak_memory_mb > 0
        assert math.isfinite(timing.psnr)
        assert timing.ratio == pytest.approx(
            timing.seconds_per_evaluation / timings[0].seconds_per_evaluation
        )
    assert timings[0].ratio == 1


def test_a_fresh_process_has_its_own_memory(request_):
    """The ballast of this process is not in the other's peak."""
    ballast = torch.ones(400 * 2**18)  # 400 MiB
    alone = bench_solvers(request_, ["fast"])[0]
    mixed = bench_solvers(request_, ["fast"], isolated=False)[0]
    assert alone.evaluations == mixed.evaluations == 3
    assert alone.psnr == pytest.approx(mixed.psnr, abs=0.01)
    assert mixed.peak_memory_mb - alone.peak_memory_mb > 200
    assert len(ballast)


def test_short_runs_are_marked_and_full_ones_are_not(request_):
    own = dataclasses.replace(request_, steps=None)
    assert own.settings_for("padis-dps") == SHORT_RUNS["padis-dps"]
    assert own.settings_for("fast") == {}
    assert dataclasses.replace(own, full=True).settings_for("padis-dps") == {}
    assert bench_solvers(request_, ["fast"], isolated=False)[0].shortened
    assert not bench_solvers(own, ["fast"], isolated=False)[0].shortened


def test_stopwatch_counts_nested_spans_once():
    watch = Stopwatch(torch.device("cpu"))
    with watch.span(), watch.span():
        pass
    with watch.span():
        pass
    assert watch.spans == 2
    assert watch.seconds > 0


def test_timed_operator_is_the_same_map(ct_problem):
    watch = Stopwatch(torch.device("cpu"))
    timed = TimedOperator(ct_problem.operator, watch)
    x = ct_problem.truth
    assert torch.equal(timed(x), ct_problem.operator(x))
    assert torch.equal(timed.T(ct_problem.measurement), ct_problem.operator.T(ct_problem.measurement))
    assert timed.norm == ct_problem.operator.norm
    assert watch.spans == 2  # the norm was not timed


def test_backward_passes_are_booked_on_the_network():
    watch = Stopwatch(torch.device("cpu"))
    network = torch.nn.Linear(4, 4).requires_grad_(False)
    x = torch.ones(2, 4, requires_grad=True)
    with timed_network(network, watch):
        y = network(x)
        assert watch.spans == 1
        torch.autograd.grad(y.sum(), x)
        assert watch.spans == 2
    network(x)
    assert watch.spans == 2


def test_command_prints_a_line_a_solver_and_writes_json(phantom_path, prior_path, tmp_path, capsys):
    report = tmp_path / "bench.json"
    arguments = ["bench", "solvers", "--image", str(phantom_path), "--prior", str(prior_path), "--views", "6"]
    arguments += [
        "--solver",
        "dds",
        "fast",
        "--steps",
        "2",
        "--patch",
        "32",
        "--device",
        "cpu",
        "--in-process",
    ]
    assert main([*arguments, "--json", str(report)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["dds", "fast"]
    assert "PSNR" in lines[1]
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["baseline"] == "dds"
    assert found["problem"]["views"] == 6
    for row in found["solvers"]:
        assert row["network_share"] + row["operator_share"] + row["other_share"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--solver", "magic"], "magic"),
        (["--steps", "0"], "Steps"),
        (["--json", "/nowhere/b.json"], "nowhere"),
    ],
)
def test_bad_options_are_one_sentence_and_exit_code_2(extra, said, phantom_path, prior_path, capsys):
    arguments = ["bench", "solvers", "--image", str(phantom_path), "--prior", str(prior_path), "--in-process"]
    assert main(arguments + extra) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error


def test_inspect_says_what_a_prior_is(prior_path, capsys):
    assert main(["inspect", str(prior_path)]) == 0
    line = capsys.readouterr().out.strip()
    for part in ("padis-gui prior", "'tiny'", "patches 32, 16 px", "image 64 px", "-1000 to 1000 HU"):
        assert part in line
    assert "\n" not in line


def test_inspect_refuses_each_bad_file_in_one_sentence(prior_path, phantom_path, tmp_path, capsys):
    short = tmp_path / "short.safetensors"
    short.write_bytes(prior_path.read_bytes()[:-1000])
    missing = tmp_path / "missing.safetensors"
    assert main(["inspect", str(prior_path), str(short), str(phantom_path), str(missing)]) == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert len(err.splitlines()) == 3
    assert all("refused" in line for line in err.splitlines())
