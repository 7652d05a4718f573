"""A training can be stopped, killed or starved of disk at any moment: N steps are N/2 steps, a resume, and N/2."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.settings import files as atomic
from padis_gui.core.settings.errors import CheckpointError, SettingError
from padis_gui.core.training.settings import TrainingSettings
from padis_gui.core.training.train import PRIOR_FILE, STATE_FILE, TrainStep, train
from tests.tiny import TINY_NETWORK
from tests.toy_training import CPU, aside, equal, metadata, settings, start, tensors, toy_data

# -- resuming ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [1, 4, 7])
def test_stopping_and_resuming_changes_no_bit(tmp_path: Path, stop: int) -> None:
    whole = list(start(tmp_path / "whole", settings()))
    first = start(tmp_path / "parts", settings())
    before = list(islice(first, stop))
    first.close()
    after = list(start(tmp_path / "parts", settings()))
    assert [e.step for e in after] == list(range(stop + 1, 9))
    assert [e.loss for e in before + after] == [e.loss for e in whole]
    assert [e.average for e in before + after] == [e.average for e in whole]
    assert equal(tensors(tmp_path / "whole"), tensors(tmp_path / "parts"))
    files = [tmp_path / n / PRIOR_FILE for n in ("whole", "parts")]
    a, b = (safetensors.torch.load_file(f) for f in files)
    assert equal(a, b)


def test_a_finished_training_has_nothing_left_and_can_be_prolonged(tmp_path: Path) -> None:
    list(start(tmp_path, settings()))
    before = tensors(tmp_path)
    assert list(start(tmp_path, settings())) == []
    assert equal(tensors(tmp_path), before)
    assert [e.step for e in start(tmp_path, settings(steps=10, checkpoint_every=3, decay=0.1))] == [9, 10]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 4}, "seed"),
        ({"learning_rate": 0.5}, "learning_rate"),
        ({"pixels": 2048}, "pixels"),
        ({"ema": 0.5}, "ema"),
    ],
)
def test_changed_settings_are_refused(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    list(start(tmp_path, settings(steps=2)))
    before = (tmp_path / STATE_FILE).read_bytes()
    with pytest.raises(SettingError, match=rf"other settings \({named}\)"):
        start(tmp_path, settings(steps=2, **changes))
    assert (tmp_path / STATE_FILE).read_bytes() == before


def test_states_of_the_first_version_resume_to_the_bit(tmp_path: Path) -> None:
    """One average without its decay in the name, position channels, the data's choices among the settings."""
    run = settings(steps=6, ema=0.2)
    list(start(tmp_path / "whole", run))
    half = start(tmp_path / "old", run)
    list(islice(half, 3))
    half.close()
    path = tmp_path / "old" / STATE_FILE
    meta, stored = json.loads(metadata(path)["training"]), tensors(tmp_path / "old")
    of_then = ("steps", "patch_sizes", "patch_probabilities", "pixels", "sigma_mean", "sigma_std", "sigma_low",
               "sigma_high", "learning_rate", "warmup", "decay", "clip", "checkpoint_every", "seed")  # fmt: skip
    chosen = {name: meta["settings"][name] for name in of_then}
    network = {k: v for k, v in meta["network"].items() if k != "position_encoding"}
    old = {
        "settings": chosen | {"ema": 0.2, "image_size": 32, "crops": 0, "shrink": 1.0},
        "network": network | {"position_channels": 2},
    } | {k: meta[k] for k in ("step", "optimizer_steps", "patches_seen", "seconds", "loss_average")}
    old_tensors = {k.replace("ema:0.2:", "ema."): v for k, v in stored.items()}
    path.write_bytes(safetensors.torch.save(old_tensors, {"training": json.dumps(old)}))
    assert [e.step for e in start(tmp_path / "old", run)] == [4, 5, 6]
    assert equal(tensors(tmp_path / "old"), tensors(tmp_path / "whole"))


def test_further_averages_begin_as_the_longest_that_was_kept(tmp_path: Path) -> None:
    first = start(tmp_path, settings(steps=6, ema=(0.1, 0.2)))
    list(islice(first, 3))
    first.close()
    kept = tensors(tmp_path)
    second = start(tmp_path, settings(steps=6, ema=(0.1, 0.2, 0.3)))
    second.close()
    assert equal(tensors(tmp_path), kept)  # nothing was done, nothing written
    second = start(tmp_path, settings(steps=6, ema=(0.3, 0.2, 0.1)))
    state = second._state
    assert all(torch.equal(v, kept[f"ema:0.2:{k}"]) for k, v in state.averages[0.3].items())
    assert all(torch.equal(v, kept[f"ema:0.1:{k}"]) for k, v in state.averages[0.1].items())
    assert state.chosen == 0.1
    assert len(list(second)) == 3


def test_another_image_size_is_refused(tmp_path: Path) -> None:
    list(start(tmp_path, settings(steps=1)))
    data = toy_data()
    larger = replace(data, images=torch.nn.functional.pad(data.images, (4, 4, 4, 4)))
    with pytest.raises(SettingError, match=r"other settings \(image_size\)"):
        train(larger, tmp_path, settings(steps=2), TINY_NETWORK, device=CPU, precision="float32")


def test_another_window_is_refused(tmp_path: Path) -> None:
    list(start(tmp_path, settings(steps=1)))
    other = replace(toy_data(), window=(-500.0, 500.0))
    with pytest.raises(SettingError, match="the window of the data"):
        train(other, tmp_path, settings(steps=2), TINY_NETWORK, device=CPU, precision="float32")


def test_what_leaves_the_weights_alone_may_change(tmp_path: Path) -> None:
    list(start(tmp_path, settings(steps=1)))
    other = settings(
        steps=2, checkpoint_every=1, validate_every=1, patience=3, channels_last=False, decay=0.1
    )
    assert [e.step for e in start(tmp_path, other, validation=aside())] == [2]


def test_another_network_is_refused(tmp_path: Path) -> None:
    list(start(tmp_path, settings(steps=1)))
    with pytest.raises(SettingError, match="the network"):
        start(tmp_path, settings(steps=1), TINY_NETWORK.model_copy(update={"embedding": 64}))


def test_damaged_states(tmp_path: Path) -> None:
    list(start(tmp_path, settings(steps=2)))
    path = tmp_path / STATE_FILE
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    rng = random.Random(0)
    damaged = [whole[:n] for n in (0, 5, 8, 100, header, len(whole) - 1)]
    damaged += [b"words", b"\0" * 100]
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="is damaged"):
            start(tmp_path, settings(steps=2))
    refusals = 0
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 3))):
            data[rng.randrange(header)] = rng.randrange(32, 127)
        path.write_bytes(data)
        try:
            list(start(tmp_path, settings(steps=3)))
        except (CheckpointError, SettingError):
            refusals += 1
    assert refusals > 30


@pytest.mark.parametrize("meta", ["[]", "null", "{}", '{"settings": 3, "network": {}}', "[" * 5000])
def test_states_with_another_description(tmp_path: Path, meta: str) -> None:
    list(start(tmp_path, settings(steps=1)))
    (tmp_path / STATE_FILE).write_bytes(safetensors.torch.save(tensors(tmp_path), {"training": meta}))
    with pytest.raises(CheckpointError, match="is damaged"):
        start(tmp_path, settings(steps=1))


def test_a_state_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).mkdir()
    with pytest.raises(CheckpointError, match="is damaged"):
        start(tmp_path, settings(steps=1))


def test_an_error_inside_a_step_saves_no_half_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = start(tmp_path, settings(checkpoint_every=2))
    list(islice(steps, 3))
    saved = (tmp_path / STATE_FILE).read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.optim.AdamW, "step", fail)
    with pytest.raises(KeyboardInterrupt):
        next(steps)
    assert (tmp_path / STATE_FILE).read_bytes() == saved


# -- kill -9 ----------------------------------------------------------------------------------------------


# everything that has a state of its own
EVERYTHING = TrainingSettings(
    steps=200, patch_sizes=(16, 8), patch_probabilities=(0.7, 0.3), pixels=512, warmup=20, decay=0.5, flips="both",
    ema=(0.9, 0.5), validate_every=30, patience=50, checkpoint_every=100, seed=5,
)  # fmt: skip
LEARNED = TINY_NETWORK.model_copy(update={"position_encoding": "learned"})

_PROGRAM = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.core.training.test_training_resume import EVERYTHING, LEARNED
from tests.toy_training import aside, settings, start
if sys.argv[2] == "everything":
    steps = start(Path(sys.argv[1]), EVERYTHING, LEARNED, validation=aside())
else:
    steps = start(Path(sys.argv[1]), settings(steps=100000, checkpoint_every=2))
for event in steps:
    print(event.step, flush=True)
"""


@contextmanager
def _killed(folder: Path, what: str, after: int) -> Iterator[None]:
    """A training in a process of its own, killed a moment after that step was printed."""
    repository = str(Path(__file__).resolve().parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder), what], stdout=subprocess.PIPE, text=True, cwd=repository,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": repository},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= after:
                break
        yield
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_200_steps_are_100_steps_kill_9_and_a_resume(tmp_path: Path) -> None:
    with _killed(tmp_path / "killed", "everything", 110):
        pass
    assert json.loads(metadata(tmp_path / "killed" / STATE_FILE)["training"])["step"] == 100
    runs: dict[str, list[TrainStep]] = {}
    for name in ("killed", "whole"):
        runs[name] = list(start(tmp_path / name, EVERYTHING, LEARNED, validation=aside()))
    assert [e.step for e in runs["killed"]] == list(range(101, 201))
    for before, after in zip(runs["whole"][100:], runs["killed"], strict=True):
        same = {"seconds": 0.0, "memory": 0}
        assert replace(before, **same) == replace(after, **same)
    assert equal(tensors(tmp_path / "killed"), tensors(tmp_path / "whole"))
    priors = [safetensors.torch.load_file(tmp_path / name / PRIOR_FILE) for name in runs]
    assert equal(priors[0], priors[1])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
@pytest.mark.parametrize("after", [5, 14])
def test_kill_9_at_any_moment_leaves_a_checkpoint_that_loads_and_resumes(tmp_path: Path, after: int) -> None:
    with _killed(tmp_path, "short", after):
        time.sleep(random.Random(after).random() * 0.02)  # sleep: anywhere in a step or a write
    load_prior(tmp_path / PRIOR_FILE, CPU, "float32")
    step = json.loads(metadata(tmp_path / STATE_FILE)["training"])["step"]
    assert step >= after - 2  # a kill loses at most the steps since the last checkpoint
    for name in (STATE_FILE, PRIOR_FILE):
        (tmp_path / f".{name}.abcd1234").write_bytes(b"half")  # what a kill in the middle of writing leaves
    steps = start(tmp_path, settings(steps=100000, checkpoint_every=2))
    assert {p.name for p in tmp_path.iterdir()} == {STATE_FILE, PRIOR_FILE}
    found = [e.step for e in islice(steps, 2)]
    steps.close()
    assert found == [step + 1, step + 2]
    fresh = start(tmp_path / "fresh", settings(steps=100000, checkpoint_every=100))
    for event in fresh:
        if event.step == step + 2:
            break
    fresh.close()
    assert equal(tensors(tmp_path), tensors(tmp_path / "fresh"))


def test_a_kill_between_the_two_files_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prior is written before the state that says that all is done."""
    list(start(tmp_path / "whole", settings()))
    half = start(tmp_path / "parts", settings(checkpoint_every=4))
    list(islice(half, 7))
    honest = os.replace

    def killed(source: str, target: Path) -> None:
        if Path(target).name == STATE_FILE:
            raise KeyboardInterrupt
        honest(source, target)

    monkeypatch.setattr(atomic.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        next(half)
    monkeypatch.undo()
    list(start(tmp_path / "parts", settings()))
    files = [safetensors.torch.load_file(tmp_path / n / PRIOR_FILE) for n in ("whole", "parts")]
    assert equal(files[0], files[1])
    assert equal(tensors(tmp_path / "whole"), tensors(tmp_path / "parts"))


# -- full disks -------------------------------------------------------------------------------------------


def _full_disk(*_: object) -> Any:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("failing", ["open", "fsync", "replace"])
def test_a_full_disk_on_the_way_is_said_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failing: str
) -> None:
    steps = start(tmp_path, settings(checkpoint_every=2))
    list(islice(steps, 3))
    before = {name: (tmp_path / name).read_bytes() for name in (STATE_FILE, PRIOR_FILE)}
    honest = Path.open

    def no_new_files(path: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        return _full_disk() if "x" in mode else honest(path, mode, *more, **named)

    if failing == "open":
        monkeypatch.setattr(Path, "open", no_new_files)
    else:
        monkeypatch.setattr(atomic.os, failing, _full_disk)
    assert not next(steps).saved
    assert "step 4 cannot be written" in caplog.text
    assert "No space left on device" in caplog.text
    monkeypatch.undo()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    rest = list(steps)  # there is room again
    assert [e.step for e in rest if e.saved] == [6, 8]
    list(start(tmp_path / "whole", settings()))
    assert equal(tensors(tmp_path), tensors(tmp_path / "whole"))


def test_a_disk_that_is_full_at_the_end_costs_no_more_than_the_last_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = start(tmp_path, settings(checkpoint_every=6))
    list(islice(steps, 7))
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    monkeypatch.setattr(atomic.os, "fsync", _full_disk)
    with pytest.raises(CheckpointError, match=r"step 8 cannot be written .*No space left"):
        next(steps)
    steps.close()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    again = start(tmp_path, settings())
    assert next(again).step == 7
    with pytest.raises(CheckpointError, match="step 7 cannot be written"):
        again.close()
    again.close()
    monkeypatch.undo()
    assert [e.step for e in start(tmp_path, settings())] == [7, 8]


def test_leaving_a_with_block_saves(tmp_path: Path) -> None:
    with start(tmp_path, settings()) as steps:
        list(islice(steps, 3))
    assert [e.step for e in start(tmp_path, settings())] == [4, 5, 6, 7, 8]
    assert list(steps) == []  # closed is closed


def test_levels_that_no_step_has_drawn_are_no_damage(tmp_path: Path) -> None:
    """A state says NaN for the loss of a noise level that it does not know yet."""
    begun = start(tmp_path, settings(steps=1))
    list(begun)
    begun.close()
    with safetensors.safe_open(tmp_path / STATE_FILE, framework="pt") as file:
        assert "NaN" in file.metadata()["training"]
    list(start(tmp_path, settings(steps=3)))
    list(start(tmp_path / "whole", settings(steps=3)))
    assert equal(tensors(tmp_path), tensors(tmp_path / "whole"))
