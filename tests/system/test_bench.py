"""`padis-gui bench` and `padis-gui inspect`: the figures add up, and every solver is in the table."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.operator import OperatorRequest, bench_operator
from benchmarks.precision import VARIANTS, PrecisionRequest, bench_precision, find_variant
from benchmarks.solvers import SHORT_RUNS, BenchRequest, bench_solvers
from benchmarks.startup import COMMANDS
from benchmarks.timing import Stopwatch, TimedOperator, interleaved, speedup, timed_network
from padis_gui.cli.main import main
from padis_gui.core.physics.pixelwise import Denoising, NothingSettings
from padis_gui.core.physics.scanner import ParallelBeamSettings
from padis_gui.core.prior.tiling import TilingSettings, make_tiling
from padis_gui.core.settings.declarations import specs
from padis_gui.core.solvers.registry import SOLVERS, find_solver

NAMES = [solver.name for solver in SOLVERS]


@pytest.fixture(autouse=True)
def _few_threads(monkeypatch):
    """Small problems: more threads would only wait for each other."""
    for subject in ("solvers", "operator", "denoiser", "precision"):
        monkeypatch.setattr(f"benchmarks.{subject}.use_all_threads", lambda: None)


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
    counts = {
        solver.name: {
            spec.name: max(int(spec.minimum), min(spec.default, 2))
            for spec in specs(solver.settings_type)
            if spec.kind == "int" and spec.default is not None
        }
        for solver in SOLVERS
    }
    timings = bench_solvers(dataclasses.replace(request_, tuned=counts, steps=2), isolated=False)
    assert [t.solver for t in timings] == NAMES
    for timing in timings:
        shares = timing.network_share, timing.operator_share, timing.other_share
        assert sum(shares) == pytest.approx(100)
        assert timing.operator_share > 0
        assert timing.other_share > 0
        assert timing.peak_memory_mb > 0
        assert math.isfinite(timing.psnr)
        if find_solver(timing.solver).diffusion:
            assert timing.network_share > 0
        if timing.evaluations:
            assert timing.seconds == pytest.approx(timing.evaluations * timing.seconds_per_evaluation)
            assert timing.ratio == pytest.approx(
                timing.seconds_per_evaluation / timings[0].seconds_per_evaluation
            )
        else:
            assert timing.seconds_per_evaluation is None
            assert timing.ratio is None
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
    assert own.changes_to("padis-dps") == SHORT_RUNS["padis-dps"]
    assert own.changes_to("fast") == {}
    assert dataclasses.replace(own, full=True).changes_to("padis-dps") == {}
    assert bench_solvers(request_, ["fast"], isolated=False)[0].shortened
    assert not bench_solvers(own, ["fast"], isolated=False)[0].shortened


def test_what_a_preset_sets_is_the_solvers_own(request_):
    tuned = dataclasses.replace(request_, tuned={"diffpir": {"sigma_max": 7.0}}, steps=None)
    assert tuned.settings_for("diffpir").sigma_max == 7.0
    assert not tuned.is_shortened("diffpir")
    assert tuned.settings_for("fast") == find_solver("fast").settings_type()
    shorter = dataclasses.replace(tuned, steps=2)
    assert shorter.settings_for("diffpir").sigma_max == 7.0
    assert shorter.is_shortened("diffpir")


def test_generation_is_timed_without_image_and_truth(request_, tmp_path):
    sizes = NothingSettings(rows=32, columns=32)
    request = dataclasses.replace(
        request_,
        physics="nothing",
        problem=sizes,
        image=tmp_path / "none.tif",
        tiling=TilingSettings(patch=16),
    )
    timing = bench_solvers(request, ["fast"], isolated=False)[0]
    assert timing.evaluations == 3
    assert timing.psnr is None
    assert timing.as_dict()["psnr"] is None


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


def test_data_steps_of_a_timed_operator_are_those_of_the_operator(ct_problem):
    """A closed form is called and timed whole; of conjugate gradients only the products are."""
    rng = torch.Generator().manual_seed(0)
    closed = Denoising((1, 16, 16))
    assert type(closed).prox is not type(ct_problem.operator).prox
    y, v = torch.rand(1, 16, 16, generator=rng), torch.rand(1, 16, 16, generator=rng)
    watch = Stopwatch(torch.device("cpu"))
    timed = TimedOperator(closed, watch)
    assert torch.equal(timed.prox(y, v, 0.5, 1), closed.prox(y, v, 0.5, 1))
    assert torch.equal(timed.least_squares(y, v, 1), closed.least_squares(y, v, 1))
    assert watch.spans == 2

    operator, y = ct_problem.operator, ct_problem.measurement
    v, watch = torch.rand(ct_problem.truth.shape, generator=rng), Stopwatch(torch.device("cpu"))
    timed = TimedOperator(operator, watch)
    assert torch.equal(timed.prox(y, v, 0.5, 4), operator.prox(y, v, 0.5, 4))
    assert watch.spans == 1 + 2 * 4  # the first residual, four steps
    assert torch.equal(timed.least_squares(y, v, 4), operator.least_squares(y, v, 4))
    assert watch.spans == 2 * (1 + 2 * 4)


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


@pytest.mark.parametrize(("patch_batch", "passes"), [(9, 2), (4, 9)])
def test_a_graph_that_is_made_again_is_booked_too(prior, patch_batch, passes):
    """One batch goes forward and backward; of three each goes forward, forward again, and backward."""
    watch = Stopwatch(torch.device("cpu"))
    batched = dataclasses.replace(prior, patch_batch=patch_batch)
    part = make_tiling("fixed", (64, 64), 32, prior.conventions.frame).draw(torch.Generator())
    x = torch.zeros(1, 64, 64, requires_grad=True)
    with timed_network(prior.network, watch):
        found = batched.denoise(x, 1.0, part, torch.Generator().manual_seed(0))
        torch.autograd.grad(found.sum(), x)
    spans = watch.spans
    with watch.span():
        pass
    assert watch.spans == spans + 1  # every span before was ended
    assert spans == passes


def test_variants_take_turns():
    calls = []
    seconds = interleaved(
        {name: lambda name=name: calls.append(name) for name in "abc"}, 3, torch.device("cpu")
    )
    assert "".join(calls) == "abc" + "cba" + "abc" + "cba"  # the first round only warms up
    assert {name: len(found) for name, found in seconds.items()} == {"a": 3, "b": 3, "c": 3}
    assert all(t > 0 for found in seconds.values() for t in found)


def test_speedup_is_that_of_the_same_round():
    """A load that doubles the time of one round does not change it."""
    assert speedup([2.0, 4.0, 2.0], [1.0, 2.0, 1.0]) == 2
    assert speedup([1.0, 1.0, 10.0], [1.0, 1.0, 1.0]) == 1


def test_both_operators_are_the_same_map():
    astra, ours = bench_operator(OperatorRequest(size=48, views=7, repeats=3, device="cpu"))
    assert astra.variant.startswith("ASTRA")
    assert (astra.forward_speedup, astra.adjoint_speedup, astra.difference) == (1, 1, 0)
    assert 0 < ours.difference < 1e-4
    assert min(ours.forward_seconds, ours.adjoint_seconds) > 0
    assert ours.round_trips is None


def test_operator_table_and_json(tmp_path, capsys):
    report = tmp_path / "operator.json"
    arguments = ["bench", "operator", "--size", "32", "--views", "5", "--repeats", "3", "--device", "cpu"]
    assert main([*arguments, "--json", str(report)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "5 views" in lines[0]
    assert lines[1].split()[:2] == ["operator", "forward"]
    assert "goal: at least 1.5" in lines[-1]
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["baseline"] == found["operators"][0]["variant"]
    assert found["operators"][1]["forward_speedup"] > 0


def test_denoiser_table_and_json(prior_path, tmp_path, capsys):
    report = tmp_path / "denoiser.json"
    arguments = ["bench", "denoiser", "--prior", str(prior_path), "--sizes", "64", "--whole", "48"]
    arguments += ["--repeats", "1", "--device", "cpu", "--precision", "float32", "--json", str(report)]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "s/megapixel" in lines[1]
    assert lines[2].startswith("64  ")
    assert lines[3].startswith("48, whole")
    tiled, whole = json.loads(report.read_text(encoding="utf-8"))["calls"]
    assert (tiled["patch"], tiled["tiles"], tiled["whole"]) == (32, 9, False)
    assert (whole["patch"], whole["tiles"], whole["whole"]) == (52, 1, True)
    for row in (tiled, whole):
        assert row["seconds_per_megapixel"] == pytest.approx(row["seconds"] / row["size"] ** 2 * 1e6)
        assert row["peak_memory_mb"] > row["added_memory_mb"] >= 0


def test_startup_table_and_json(tmp_path, capsys):
    report = tmp_path / "startup.json"
    assert main(["bench", "startup", "--rounds", "1", "--no-window", "--json", str(report)]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {start["name"]: start for start in json.loads(report.read_text(encoding="utf-8"))["starts"]}
    assert len(lines) == 2 + len(found)
    floor = found["Python, NumPy, pydantic"]
    assert not floor["torch"]
    assert floor["goal"] is None
    for name, _ in COMMANDS:
        assert found[name]["torch"] == (name == "geometry of a scan")
        assert found[name]["seconds"] > 0
    parts = [start["seconds"] for name, start in found.items() if name.startswith("  ")]
    assert len(parts) == 6
    assert min(parts) > 0
    assert found["reconstruct, beside its step"]["goal"] == 1.7
    assert main(["bench", "startup", "--rounds", "0"]) == 2


# -- precision --------------------------------------------------------------------------------------------


@pytest.fixture
def precision_request(request_) -> PrecisionRequest:
    run = dataclasses.replace(request_, steps=2)
    return PrecisionRequest(
        run=run, solver="fast", variants=("float32-contiguous", "float32", "bfloat16"), repeats=2
    )


def test_variants_are_compared_with_the_first(precision_request):
    first, second, third = bench_precision(precision_request)
    assert (first.cost, first.speedup) == (0, 1)
    assert abs(second.cost) < 1e-3  # another layout, the same numbers
    assert 0 < abs(third.cost) < 1  # fewer digits
    assert all(t.seconds > 0 and t.psnr == pytest.approx(first.psnr - t.cost) for t in (first, second, third))
    assert [t.default for t in (first, second, third)].count(True) == 1


def test_layouts_are_what_they_say(prior):
    def layouts(name: str) -> set[bool]:
        prepared, seen = find_variant(name).prepare(prior), set()
        handles = [
            layer.register_forward_hook(lambda _layer, _inputs, output: seen.add(output.is_contiguous()))
            for layer in prepared.network.modules()
            if isinstance(layer, nn.Conv2d)
        ]
        part = make_tiling("fixed", (64, 64), 32, prior.conventions.frame).draw(torch.Generator())
        with torch.no_grad():
            prepared.denoise(torch.zeros(1, 64, 64), 1.0, part, torch.Generator().manual_seed(0))
        for handle in handles:
            handle.remove()
        return seen

    assert layouts("float32-contiguous") == {True}
    assert layouts("float32") == {False}


def test_a_machine_without_a_compiler_skips_what_it_cannot_run(
    precision_request, phantom_path, prior_path, monkeypatch, capsys
):
    def no_compiler(_network):
        raise RuntimeError("No C++ compiler was found.\nA long story follows.")

    monkeypatch.setattr(torch, "compile", no_compiler)
    arguments = ["bench", "precision", "--image", str(phantom_path), "--prior", str(prior_path)]
    arguments += ["--views", "6", "--patch", "32", "--solver", "fast", "--steps", "2", "--repeats", "1"]
    arguments += ["--device", "cpu", "--variant", "float32", "float32-compiled"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "float32, compiled: this machine cannot run it (No C++ compiler was found.)" in out
    assert "long story" not in out


def test_precision_needs_a_truth(precision_request, capsys):
    assert main(["bench", "precision", "--preset", "generate"]) == 2
    assert "truth" in capsys.readouterr().err
    assert {v.name for v in VARIANTS} >= {"float32", "bfloat16"}  # the names of the program's defaults


# -- the command ------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(("preset", "quality"), [("denoise", "."), ("generate", "–")])
def test_command_takes_other_problems(preset, quality, phantom_path, prior_path, capsys):
    arguments = ["bench", "solvers", "--image", str(phantom_path), "--prior", str(prior_path)]
    arguments += ["--preset", preset, "--solver", "fast", "--steps", "2", "--patch", "32", "--in-process"]
    assert main([*arguments, "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].count(phantom_path.name) == (preset == "denoise")
    assert quality in lines[2].split()[-2]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["solvers", "--in-process", "--solver", "magic"], "magic"),
        (["solvers", "--in-process", "--steps", "0"], "Steps"),
        (["solvers", "--json", "/nowhere/b.json"], "nowhere"),
        (["solvers", "--preset", "magic"], "magic"),
        (["solvers", "--preset", "denoise", "--views", "5"], "--views"),
        (["solvers", "--preset", "ct-8", "--views", "0"], "Views"),
        (["operator", "--size", "4"], "16 to 2048"),
        (["operator", "--views", "0"], "Views"),
        (["operator", "--repeats", "0"], "repeats"),
        (["denoiser", "--sizes", "5"], "16 to 4064"),
        (["denoiser", "--patch", "17"], "patch"),
        (["precision", "--variant", "float8"], "float8"),
    ],
)
def test_bad_options_are_one_sentence_and_exit_code_2(extra, said, capsys):
    assert main(["bench", *extra]) == 2
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
