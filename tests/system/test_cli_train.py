"""`padis-gui train`: a prior that reconstructs, a log, and a checkpoint when it is told to stop."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors
import tifffile
import torch

from padis_gui.cli.main import main
from padis_gui.core.checkpoint import load_prior, read_record
from padis_gui.core.training.train import PRIOR_FILE, STATE_FILE

OPTIONS = [
    "--image-size", "32", "--patch-sizes", "16,8", "--patch-probabilities", "0.7,0.3", "--pixels", "512",
    "--width", "32", "--multipliers", "1,1", "--blocks", "1", "--embedding", "32", "--attention", "false",
    "--device", "cpu", "--precision", "float32",
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.tif"
    array = np.random.default_rng(0).integers(-1000, 1000, (4, 32, 32), dtype=np.int16)
    tifffile.imwrite(path, array, photometric="minisblack")
    (tmp_path / "data.csv").write_text("page,patient\n0,A\n1,A\n2,B\n3,B\n")
    return path


def test_train_resume_and_use(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    command = ["train", str(data), "--out", str(run), "--name", "toy", *OPTIONS]
    assert main([*command, "--steps", "3"]) == 0
    assert "4 images of 2 subjects" in capsys.readouterr().out
    assert main([*command, "--steps", "5"]) == 0
    record = read_record(run / PRIOR_FILE)
    assert (record.name, record.training["steps"]) == ("toy", 5)
    assert (record.training["subjects"], record.training["images"]) == (2, 4)
    assert record.conventions.unit == "HU"
    log = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry["step"] for entry in log] == [3, 5]
    out = tmp_path / "o.tif"
    options = [
        "--prior",
        str(run / PRIOR_FILE),
        "--out",
        str(out),
        "--steps",
        "2",
        "--views",
        "6",
        "--patch",
        "8",
    ]
    assert main(["reconstruct", str(data), *options, "--precision", "float32"]) == 0
    assert tifffile.imread(out).shape == (32, 32)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of another kind there")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_saves_first(data: Path, tmp_path: Path, number: signal.Signals) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "padis_gui", "train", str(data), "--out", str(run), *OPTIONS]
    with subprocess.Popen(
        [*command, "--steps", "1000000", "--checkpoint-every", "1000000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        log = run / "log.jsonl"
        while process.poll() is None and not (log.exists() and log.stat().st_size):
            time.sleep(0.05)
        process.send_signal(number)
        _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert error.strip().splitlines()[-1] == "padis-gui: interrupted."
    assert "Traceback" not in error
    with safetensors.safe_open(run / STATE_FILE, framework="pt") as file:
        assert json.loads(file.metadata()["training"])["step"] >= 50
    load_prior(run / PRIOR_FILE, torch.device("cpu"), "float32")
