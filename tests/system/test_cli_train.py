"""`padis-gui train` and `padis-gui runs`: a prior that reconstructs, looks and a log on the way, and a checkpoint when
it is told to stop."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import safetensors
import tifffile
import torch
from PIL import Image as Pillow

from padis_gui.cli.main import main
from padis_gui.core.prior.checkpoint import load_prior, read_record
from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.training.log import read_log
from padis_gui.core.training.plan import REQUEST_FILE, load_request
from padis_gui.core.training.settings import TrainingSettings, look_interval
from padis_gui.core.training.train import PRIOR_FILE, STATE_FILE
from tests.waiting import TIMEOUT, wait_for

OPTIONS = [
    "--image-size", "32", "--patch-sizes", "16,8", "--patch-probabilities", "0.7,0.3", "--pixels", "512",
    "--width", "32", "--multipliers", "1,1", "--blocks", "1", "--embedding", "32", "--attention", "false",
    "--device", "cpu", "--precision", "float32", "--validation", "0.4", "--look-every", "0",
]  # fmt: skip
LOOKS = ["--look-every", "2", "--look-share", "1", "--evaluations", "2", "--sample-steps", "2"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.tif"
    array = np.random.default_rng(0).integers(-1000, 1000, (6, 32, 32), dtype=np.int16)
    tifffile.imwrite(path, array, photometric="minisblack")
    (tmp_path / "data.csv").write_text("page,patient\n0,A\n1,A\n2,B\n3,B\n4,C\n5,C\n")
    return path


def test_train_resume_and_use(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    command = ["train", str(data), "--out", str(run), "--name", "toy", *OPTIONS]
    assert main([*command, "--steps", "3"]) == 0
    assert "4 images of 2 subjects, 2 more kept aside" in capsys.readouterr().out
    assert main([*command, "--steps", "5"]) == 0
    record = read_record(run / PRIOR_FILE)
    assert (record.name, record.training["steps"]) == ("toy", 5)
    assert (record.training["subjects"], record.training["images"]) == (2, 4)
    assert record.conventions.unit == "HU"
    log = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry["step"] for entry in log if entry["event"] == "step"] == [1, 3, 4, 5]
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


def test_minutes_are_so_many_steps_of_this_machine(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows from the number of steps is fitted to it, but for what is given."""
    pace, timed = 0.51, []

    def seconds_a_step(settings: TrainingSettings, network: NetworkSettings, size: int, *_: Any) -> float:
        timed.append((settings.pixels, network.width, size))
        return pace

    monkeypatch.setattr("padis_gui.core.training.run.seconds_a_step", seconds_a_step)
    run = tmp_path / "run"
    command = ["train", str(data), "--out", str(run), *OPTIONS, "--minutes", "1"]
    assert main([*command, "--warmup", "7"]) == 0
    assert timed == [(512, 32, 32)]
    assert "1 minutes: 100 steps of 0.51 s" in capsys.readouterr().out
    training = load_request(run).training
    assert (training.steps, training.warmup, training.validate_every) == (100, 7, look_interval(100))
    assert read_record(run / PRIOR_FILE).training["steps"] == 100
    assert main(command) == 2  # it goes on by steps
    assert "holds one already" in capsys.readouterr().err


def logged_step(run: Path) -> int:
    """The latest step in the log; which ones are logged depends on the time that they take."""
    return max((event["step"] for event in read_log(run) if event["event"] == "step"), default=0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of another kind there")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_saves_first(data: Path, tmp_path: Path, number: signal.Signals) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "padis_gui", "train", str(data), "--out", str(run), *OPTIONS]
    with subprocess.Popen(
        [*command, "--steps", "1000000", "--checkpoint-every", "1000000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        try:
            wait_for(lambda: process.poll() is not None or logged_step(run) >= 2)
            seen = logged_step(run)
            process.send_signal(number)
            _, error = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 130
    assert error.strip().splitlines()[-1] == "padis-gui: interrupted."
    assert "Traceback" not in error
    with safetensors.safe_open(run / STATE_FILE, framework="pt") as file:
        assert json.loads(file.metadata()["training"])["step"] >= seen
    load_prior(run / PRIOR_FILE, torch.device("cpu"), "float32")


def test_resume_remembers_how_it_was_meant(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    window = ["--window=-900,950"]
    assert main(["train", str(data), "--out", str(run), *OPTIONS, *LOOKS, *window, "--steps", "2"]) == 0
    assert main(["train", "--resume", str(run), "--steps", "4"]) == 0
    assert "2 more kept aside" in capsys.readouterr().out
    request = load_request(run)
    assert request.data == (data,)
    assert (request.data_settings.window_low, request.data_settings.window_high) == (-900, 950)
    assert (request.training.steps, request.sight.look_every) == (4, 2)
    record = read_record(run / PRIOR_FILE)
    assert record.training["steps"] == 4
    assert record.conventions.window == (-900, 950)
    assert sorted(path.name for path in (run / "looks").iterdir()) == ["000002.npz", "000004.npz"]


def test_a_prior_is_trained_further(data: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    window = ["--window-low=-900", "--window-high", "950"]
    assert main(["train", str(data), "--out", str(first), *OPTIONS, *window, "--steps", "2"]) == 0
    more = ["--from", str(first / PRIOR_FILE), "--steps", "2", "--patch-sizes", "16,8", "--pixels", "512"]
    more += [
        "--patch-probabilities",
        "0.7,0.3",
        "--device",
        "cpu",
        "--validation",
        "0.4",
        "--look-every",
        "0",
    ]
    assert main(["train", str(data), "--out", str(second), *more]) == 0
    one, other = (read_record(folder / PRIOR_FILE) for folder in (first, second))
    assert one.conventions == other.conventions
    assert one.network == other.network


def test_the_preview_shows_what_can_be_used_and_lists_the_rest(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for n in range(3):
        data_of_one = np.random.default_rng(n).integers(-1000, 1000, (40, 32), dtype=np.int16)
        tifffile.imwrite(folder / f"{n}.tif", data_of_one, photometric="minisblack")
    (folder / "broken.png").write_bytes(b"words")
    sheet = tmp_path / "sheet.png"
    assert main(["train", str(folder), str(data), "--preview", str(sheet), "--image-size", "32"]) == 0
    out = capsys.readouterr().out
    assert "9 of 9 images" in out
    assert "1 skipped:" in out
    assert "broken.png" in out.splitlines()[-1]
    with Pillow.open(sheet) as picture:
        assert picture.mode == "L"
        assert picture.size == (8 * 36 - 4, 2 * 36 - 4)
        assert np.asarray(picture)[:32, :32].std() > 30
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "data.tif", "folder", "sheet.png"]


def test_runs_are_compared(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, steps in (("short", "2"), ("long", "4")):
        command = ["train", str(data), "--out", str(tmp_path / "runs" / name), *OPTIONS, *LOOKS]
        assert main([*command, "--steps", steps]) == 0
    capsys.readouterr()
    assert main(["runs", str(tmp_path / "runs")]) == 0
    heads, rule, *rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in capsys.readouterr().out.splitlines()
    ]
    found = [dict(zip(heads, row, strict=True)) for row in rows]
    assert len(rule) == len(heads)
    assert [(row["training"], row["steps"], row["state"]) for row in found] == [
        ("long", "4/4", "done"), ("short", "2/2", "done"),
    ]  # fmt: skip
    for row in found:
        assert float(row["loss"]) > 0
        assert float(row["validation"]) > 0
        assert row["PSNR"].endswith(" dB")
        assert int(row["parameters"].replace(",", "")) > 1000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--out", "{tmp}/run"], "none were named"),
        (["train", "{data}"], "one of the arguments"),
        (["train", "--resume", "{tmp}"], REQUEST_FILE),
        (["train", "{data}", "--out", "{tmp}/run", "--window", "5,1"], "LOW < HIGH"),
        (["train", "{data}", "--out", "{tmp}/run", "--window-low", "5", "--window-high", "1"], "window"),
        (["train", "{data}", "--out", "{tmp}/run", "--look-every", "-1"], "at least 0|0 to"),
        (["train", "{data}", "--out", "{tmp}/run", "--levels", "0"], "noise levels"),
        (["train", "{data}", "--out", "{tmp}/run", "--from", "{data}"], "prior"),
        (["train", "{data}", "--out", "{data}/run"], "cannot be made"),
        (["train", "{data}", "--out", "{tmp}/run", "--minutes", "0"], "up to 100000 minutes"),
        (["train", "{data}", "--out", "{tmp}/run", "--minutes", "nan"], "up to 100000 minutes"),
        (["train", "{data}", "--out", "{tmp}/run", "--minutes", "2", "--steps", "5"], "both were given"),
        (["train", "{data}", "--preview", "{tmp}/sheet.jpg"], "does not end in .png"),
        (["train", "{data}", "--preview", "{tmp}/none/sheet.png"], "does not exist"),
        (["runs", "{tmp}/none"], "cannot be read"),
        (["runs", "{tmp}"], "there is none"),
    ],
)
def test_bad_input_is_one_sentence(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    places = {"data": str(data), "tmp": str(tmp_path)}
    try:
        code = main([argument.format(**places) for argument in arguments])
    except SystemExit as exit_:
        code = exit_.code
    error = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert any(part in error[-1] for part in said.split("|"))
    assert "Traceback" not in "".join(error)
    assert not (tmp_path / "run").exists()


# -- as the window runs it --------------------------------------------------------------------------------


@contextmanager
def trained(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], IO[str], IO[str]]]:
    """A training process that says events, with its standard input and output."""
    command = [sys.executable, "-m", "padis_gui", "train", *arguments, "--events"]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, **pipes, text=True, env=env) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process, process.stdin, process.stdout
        finally:
            process.kill()


def event_of(lines: IO[str], name: str) -> dict[str, Any]:
    """The next event of that name."""
    for line in lines:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == name:
            return event
    raise AssertionError(f"the process ended without {name}")


def say(words: IO[str], word: str) -> None:
    words.write(word + "\n")
    words.flush()


def saved_step(run: Path) -> int:
    with safetensors.safe_open(run / STATE_FILE, framework="pt") as file:
        return int(json.loads(file.metadata()["training"])["step"])


def test_events_as_lines_and_obedience_to_words(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    endless = ["--steps", "1000000", "--checkpoint-every", "1000000", *LOOKS[2:], "--look-every", "5"]
    with trained(str(data), "--out", str(run), *OPTIONS, *endless) as (process, words, lines):
        assert event_of(lines, "reading")["total"] == 6
        started = event_of(lines, "data")
        assert (started["images"], started["validation"], started["unit"]) == (4, 2, "HU")
        step = event_of(lines, "step")
        assert {"total", "average", "losses", "levels", "patches_per_second", "left", "memory"} <= step.keys()
        look = event_of(lines, "look")
        assert (run / look["file"]).is_file()
        say(words, "pause")
        paused = event_of(lines, "paused")["step"]
        time.sleep(0.5)  # sleep: a training that does not hold goes on meanwhile
        say(words, "nonsense")
        say(words, "resume")
        assert event_of(lines, "resumed")["step"] == paused  # nothing was done meanwhile
        assert event_of(lines, "step")["step"] > paused
        say(words, "stop")
        stopped = event_of(lines, "stopped")["step"]
        assert process.wait(TIMEOUT) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert saved_step(run) == stopped
    load_prior(run / PRIOR_FILE, torch.device("cpu"), "float32")


def test_a_training_whose_window_is_gone_saves_and_ends(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    endless = ["--steps", "1000000", "--checkpoint-every", "1000000"]
    with trained(str(data), "--out", str(run), *OPTIONS, *endless) as (process, words, lines):
        seen = event_of(lines, "step")["step"]
        lines.close()
        words.close()
        assert process.wait(TIMEOUT) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert saved_step(run) >= seen


def test_stop_is_obeyed_in_a_pause(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with trained(str(data), "--out", str(run), *OPTIONS, "--steps", "1000000") as (process, words, lines):
        say(words, "pause")
        paused = event_of(lines, "paused")["step"]
        say(words, "stop")
        assert event_of(lines, "stopped")["step"] == paused
        assert process.wait(TIMEOUT) == 0
    assert saved_step(run) == paused


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without torch.distributed")
def test_two_processes_under_torchrun(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "padis_gui", "train", str(data), "--out", str(run), *OPTIONS, *LOOKS, "--steps", "4"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("4 images of 2 subjects") == 1  # one speaks for both
    assert read_record(run / PRIOR_FILE).training["processes"] == 2
    log = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["step"] for event in log if event["event"] == "look"] == [2, 4]
    assert log[-1]["event"] == "done"
