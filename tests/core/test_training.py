"""Training learns, and can be stopped at any moment: N steps are N/2 steps, a resume, and N/2 steps."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from padis_gui.core.checkpoint import load_prior, read_record
from padis_gui.core.errors import CheckpointError, DivergenceError, InputError, SettingError
from padis_gui.core.network import NetworkSettings
from padis_gui.core.partition import tiles_and_pad
from padis_gui.core.training import batch as module
from padis_gui.core.training.dataset import TrainingData
from padis_gui.core.training.settings import TrainingSettings
from padis_gui.core.training.train import PRIOR_FILE, STATE_FILE, TrainStep, learning_rate, train
from tests.tiny import TINY_NETWORK, phantom

CPU = torch.device("cpu")


def toy_data() -> TrainingData:
    images = torch.stack([phantom(32)[None] * scale for scale in (0.7, 0.85, 1.0)])
    return TrainingData(images, ((0, 1), (2,)), (-1000.0, 1000.0), "HU")


def settings(**changes: Any) -> TrainingSettings:
    fields = {
        "steps": 8, "patch_sizes": (16, 8), "patch_probabilities": (0.7, 0.3), "pixels": 1024,
        "warmup": 2, "checkpoint_every": 1000, "seed": 3,
    } | changes  # fmt: skip
    return TrainingSettings(**fields)


def start(folder: Path, run: TrainingSettings, network: NetworkSettings = TINY_NETWORK):
    return train(toy_data(), folder, run, network, device=CPU, precision="float32")


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / STATE_FILE)


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# -- learning ---------------------------------------------------------------------------------------------


def test_the_loss_falls(tmp_path: Path) -> None:
    # noise levels at which there is much to learn in little time
    run = settings(steps=150, learning_rate=3e-3, warmup=10, pixels=2048, sigma_mean=-0.5, sigma_std=0.6)
    events = list(start(tmp_path, run))
    first, last = (sum(e.loss for e in part) / 30 for part in (events[:30], events[-30:]))
    assert last < 0.6 * first


def test_events_say_where_they_are(tmp_path: Path) -> None:
    events = list(start(tmp_path, settings(steps=9, checkpoint_every=4)))
    assert [e.step for e in events] == list(range(1, 10))
    assert [e.step for e in events if e.saved] == [4, 8, 9]
    assert {e.total for e in events} == {9}
    assert {e.patch for e in events} <= {16, 8}
    seen = 0
    for event in events:
        seen += 1024 // event.patch**2
        assert event.patches_seen == seen
    assert [e.seconds for e in events] == sorted(e.seconds for e in events)


def test_the_prior_carries_its_conventions(tmp_path: Path) -> None:
    list(start(tmp_path, settings()))
    prior = load_prior(tmp_path / PRIOR_FILE, CPU, "float32")
    conventions = prior.conventions
    assert conventions.image_size == 32
    assert conventions.pad == max(tiles_and_pad(32, p)[1] for p in (16, 8))
    assert conventions.patch_sizes == (16, 8)
    assert (conventions.window, conventions.unit) == ((-1000.0, 1000.0), "HU")
    padded = torch.nn.functional.pad(toy_data().images, (conventions.pad,) * 4)
    assert conventions.sigma_data == pytest.approx(float(padded.std()), abs=1e-3)
    record = read_record(tmp_path / PRIOR_FILE)
    assert record.training["steps"] == 8
    assert TrainingSettings.model_validate(record.training["settings"]) == settings()


def test_same_seed_same_weights(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.manual_seed(seed * 77 + len(name))  # the global generator has no say
        list(start(tmp_path / name, settings(steps=3, seed=seed)))
    assert equal(tensors(tmp_path / "a"), tensors(tmp_path / "b"))
    assert not equal(tensors(tmp_path / "a"), tensors(tmp_path / "c"))


def test_learning_rate_rises_holds_and_falls() -> None:
    run = settings(steps=100, warmup=10, decay=0.4, learning_rate=1.0)
    rates = [learning_rate(run, n) for n in range(100)]
    assert rates[:10] == pytest.approx([(n + 1) / 10 for n in range(10)])
    assert rates[10:60] == pytest.approx([1.0] * 50)
    assert rates[60:] == pytest.approx([(100 - n) / 40 for n in range(60, 100)])
    flat = settings(steps=5, warmup=0, decay=0.0, learning_rate=1.0)
    assert [learning_rate(flat, n) for n in range(5)] == [1.0] * 5


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


def test_states_of_the_first_version_resume(tmp_path: Path) -> None:
    """The training settings held the choice of the data then."""
    list(start(tmp_path, settings(steps=1)))
    meta = json.loads(_metadata(tmp_path / STATE_FILE)["training"])
    del meta["image_size"]
    meta["settings"] |= {"image_size": 32, "crops": 0, "shrink": 1.0}
    old = safetensors.torch.save(tensors(tmp_path), {"training": json.dumps(meta)})
    (tmp_path / STATE_FILE).write_bytes(old)
    assert [e.step for e in start(tmp_path, settings(steps=2))] == [2]


def test_another_image_size_is_refused(tmp_path: Path) -> None:
    list(start(tmp_path, settings(steps=1)))
    data = toy_data()
    larger = replace(data, images=torch.nn.functional.pad(data.images, (4, 4, 4, 4)))
    with pytest.raises(SettingError, match=r"other settings \(image_size\)"):
        train(larger, tmp_path, settings(steps=2), TINY_NETWORK, device=CPU, precision="float32")


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


_PROGRAM = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.core.test_training import settings, start
for event in start(Path(sys.argv[1]), settings(steps=100000, checkpoint_every=2)):
    print(event.step, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
@pytest.mark.parametrize("after", [5, 14])
def test_kill_9_leaves_a_checkpoint_that_loads_and_resumes(tmp_path: Path, after: int) -> None:
    repository = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=repository,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= after:
                break
        time.sleep(random.Random(after).random() * 0.02)  # anywhere in a step or a write
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    load_prior(tmp_path / PRIOR_FILE, CPU, "float32")
    step = json.loads(_metadata(tmp_path / STATE_FILE)["training"])["step"]
    assert step >= after - 2  # a kill loses at most the steps since the last checkpoint
    steps = start(tmp_path, settings(steps=100000, checkpoint_every=2))
    found = [e.step for e in islice(steps, 2)]
    steps.close()
    assert found == [step + 1, step + 2]
    fresh = start(tmp_path / "fresh", settings(steps=100000, checkpoint_every=100))
    for event in fresh:
        if event.step == step + 2:
            break
    fresh.close()
    assert equal(tensors(tmp_path), tensors(tmp_path / "fresh"))


def _metadata(path: Path) -> dict[str, str]:
    with safetensors.safe_open(path, framework="pt") as file:
        return dict(file.metadata())


# -- what goes wrong --------------------------------------------------------------------------------------


def test_contradictions_are_found_before_training(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"divisible by 4.*but 18 was given"):
        start(tmp_path, settings(patch_sizes=(18, 8)))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        start(tmp_path / "file", settings())


def _with_bad_steps(monkeypatch: pytest.MonkeyPatch, bad: set[int]) -> None:
    honest, calls = module.denoise_patches, []

    def sometimes(*args: Any) -> torch.Tensor:
        calls.append(1)
        return honest(*args) * (float("nan") if len(calls) in bad else 1.0)

    monkeypatch.setattr(module, "denoise_patches", sometimes)


def test_one_bad_step_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_bad_steps(monkeypatch, {3})
    events: list[TrainStep] = list(start(tmp_path, settings()))
    assert [e.step for e in events if e.loss != e.loss] == [3]
    assert all(e.average == e.average for e in events)
    load_prior(tmp_path / PRIOR_FILE, CPU, "float32")


def test_many_bad_steps_end_the_training_and_keep_the_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_bad_steps(monkeypatch, set(range(5, 1000)))
    steps = start(tmp_path, settings(steps=100, checkpoint_every=4))
    list(islice(steps, 4))
    saved = (tmp_path / STATE_FILE).read_bytes()
    with pytest.raises(DivergenceError, match="lower the learning rate"):
        list(steps)
    assert (tmp_path / STATE_FILE).read_bytes() == saved
    load_prior(tmp_path / PRIOR_FILE, CPU, "float32")
