"""`padis-gui experiment`: a grid from the shell, its table, and how it goes on."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from padis_gui.cli.main import main
from padis_gui.core.runs.presets import DEMO_IMAGE, resource


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    pages = np.random.default_rng(0).integers(-1000, 1000, (3, 40, 48), dtype=np.int16)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    return tmp_path / "stack.tif"


@pytest.fixture
def arguments(stack: Path, prior_path: Path, tmp_path: Path) -> list[str]:
    return ["experiment", str(stack), "--prior", str(prior_path), "--device", "cpu", "--precision", "float32",
            "--preset", "ct-8", "--bins", "80", "--solver", "dds", "fast", "--tiling", "fixed", "random",
            "--set", "steps=2", "dds.cg-steps=2", "--out", str(tmp_path / "r.jsonl")]  # fmt: skip


def test_a_grid_and_its_tables(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = [str(tmp_path / "t.md"), str(tmp_path / "t.csv")]
    wider = ["--preset", "ct-20", "ct-8", "--solver", "dds", "--pages", "0", "2", "--positions", "on", "off"]
    assert main([*arguments, *wider, "--table", *tables]) == 0
    lines = (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 * 2 * 2 * 2
    markdown = Path(tables[0]).read_text(encoding="utf-8")
    assert markdown == capsys.readouterr().out
    assert len(markdown.splitlines()) == 2 + 8
    with Path(tables[1]).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["problem"] for row in rows} == {"ct-20 bins=80", "ct-8 bins=80"}
    assert {row["cases"] for row in rows} == {"2"}
    assert all(float(row["seam_ratio"]) > 0 and float(row["evaluations"]) == 2 for row in rows)
    recipes = [json.loads(line)["recipe"] for line in lines]
    assert {(r["solver"], r["settings"]["cg_steps"], r["settings"]["steps"]) for r in recipes} == {
        ("dds", 2, 2)
    }
    assert {r["problem"]["views"] for r in recipes} == {20, 8}
    assert {r["data"]["page"] for r in recipes} == {0, 2}


def test_the_same_command_goes_on(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--pages", "0"]) == 0
    assert main([*arguments]) == 0  # all three pages
    everything = (tmp_path / "r.jsonl").read_text(encoding="utf-8")
    assert len(everything.splitlines()) == 3 * 4
    capsys.readouterr()
    assert main([*arguments]) == 0
    assert (tmp_path / "r.jsonl").read_text(encoding="utf-8") == everything
    assert len(capsys.readouterr().out.splitlines()) == 2 + 4


def test_a_case_that_fails_is_in_the_table(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The patch size belongs to no trained one: every case fails, and says so."""
    assert main([*arguments, "--pages", "0", "--patch", "24"]) == 1
    out = capsys.readouterr().out
    assert "| failed |" in out
    assert "trained on" in out


BAD: list[tuple[list[str], str]] = [
    (["--pages", "7"], "pages 0 to 2"), (["--preset", "mri"], "ct-20"), (["--preset", "generate"], "belongs to"),
    (["--solver", "magic"], "one of fast"), (["--tiling", "spiral"], "spiral"), (["--positions", "maybe"], "--positions"),
    (["--set", "dds.steps"], "NAME=VALUE"), (["--set", "quality.steps=3"], "--solver quality"),
    (["--set", "wings=3"], "'wings' is not a setting"), (["--seed", "-2"], "seed"), (["--out", "r.txt"], ".jsonl"),
    (["--table", "t.txt"], ".md or .csv"), (["--out", "none/r.jsonl"], "does not exist"),
    (["--prior", "none.safetensors"], "does not exist"), (["--device", "tpu"], "auto, cpu"),
    (["--views", "0"], "1 to 2000"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), BAD, ids=lambda v: str(v)[:40])
def test_bad_input_is_one_sentence(
    arguments: list[str], changes: list[str], said: str, refusal: Callable[[list[str]], str]
) -> None:
    assert said in refusal([*arguments, *changes])


def test_a_record_in_the_place_of_the_input_is_refused(
    arguments: list[str], stack: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stack.rename(stack.with_suffix(".jsonl"))
    arguments[1] = str(stack.with_suffix(".jsonl"))
    assert main([*arguments, "--out", arguments[1]]) == 2
    assert "is the input" in capfd.readouterr().err


def test_random_tiling_beats_a_fixed_grid(tmp_path: Path) -> None:
    """The paper's claim with the bundled prior on a bundled slice, at equal evaluations: no seams, higher PSNR."""
    table = tmp_path / "t.csv"
    grid = ["experiment", str(resource(DEMO_IMAGE)), "--pages", "0", "--preset", "ct-20", "--solver", "diffpir",
            "--set", "steps=10", "sigma-max=1", "--tiling", "fixed", "random", "--out", str(tmp_path / "r.jsonl"),
            "--table", str(table)]  # fmt: skip
    assert main(grid) == 0
    with table.open(encoding="utf-8") as file:
        fixed, random = csv.DictReader(file)
    assert (fixed["tiling"], random["tiling"]) == ("fixed", "random")
    assert fixed["evaluations"] == random["evaluations"]
    assert float(random["psnr"]) > float(fixed["psnr"]) + 0.1
    assert abs(float(random["seam_ratio"]) - 1) < 0.5 * abs(float(fixed["seam_ratio"]) - 1)
