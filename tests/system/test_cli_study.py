"""`padis-gui study`: every built-in question from the shell, at toy size."""

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

from padis_gui.cli.main import main
from padis_gui.core.settings.declarations import make
from padis_gui.core.studies.studies import STUDIES
from padis_gui.core.training.looks import SightSettings
from padis_gui.core.training.plan import TrainingRequest, save_request
from padis_gui.core.training.settings import DataSettings
from tests.tiny import TINY_NETWORK
from tests.toy_training import settings


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    pages = np.random.default_rng(0).integers(-1000, 1000, (3, 32, 40), dtype=np.int16)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    return tmp_path / "stack.tif"


def toy(stack: Path) -> TrainingRequest:
    """A training of seconds."""
    return TrainingRequest(
        data=(stack,), network=TINY_NETWORK, data_settings=make(DataSettings, {"image_size": 32, "validation": 0}),
        training=settings(), sight=make(SightSettings, {"look_every": 0}), device="cpu", precision="float32",
    )  # fmt: skip


@pytest.mark.parametrize("name", STUDIES.names)
def test_a_study_is_answered_with_a_table_a_page_and_error_bars(
    name: str, stack: Path, prior_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["study", name, str(stack), "--prior", str(prior_path), "--device", "cpu", "--precision", "float32",
             "--out", str(tmp_path / "r.jsonl"), "--table", str(tmp_path / "t.csv"), str(tmp_path / "t.html")]  # fmt: skip
    if STUDIES.find(name).trains:
        save_request(toy(stack), tmp_path / "like")
        asked += ["--train-on", str(stack), "--train-steps", "2", "--train-like", str(tmp_path / "like")]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert said.startswith(STUDIES.find(name).question)
    assert "±" in said
    with (tmp_path / "t.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 1
    assert {row["cases"] for row in rows} == {"3"}
    assert {row["failed"] for row in rows} == {"0"}
    page = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert STUDIES.find(name).question in page
    cases = (tmp_path / "r.jsonl").read_text(encoding="utf-8")
    assert main(asked) == 0  # all is known
    assert (tmp_path / "r.jsonl").read_text(encoding="utf-8") == cases
    with (tmp_path / "t.csv").open(encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == rows


def test_an_unknown_study_is_refused(stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["study", "meaning", str(stack), "--out", str(tmp_path / "r.jsonl")])
    assert ended.value.code == 2
    assert "schedule" in capsys.readouterr().err


def test_several_values_of_one_setting_are_compared(
    stack: Path, prior_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["experiment", str(stack), "--prior", str(prior_path), "--device", "cpu", "--preset", "ct-8", "--bins", "64",
             "--solver", "dds", "--pages", "0", "--set", "steps=1", "cg_steps=2", "--set", "steps=2", "--out"]  # fmt: skip
    assert main([*asked, str(tmp_path / "a.jsonl"), "--vary", "views=4,6"]) == 0
    table = capsys.readouterr().out
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    at = [lines[0].index(name) for name in ("views", "steps", "evaluations")]
    assert {tuple(line[n] for n in at) for line in lines[2:]} == {
        ("4", "1", "1"), ("4", "2", "2"), ("6", "1", "1"), ("6", "2", "2")
    }  # fmt: skip
