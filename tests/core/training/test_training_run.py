"""A whole training: its events, its files, and that looking and logging change nothing and cannot end it."""

import json
import math
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import tifffile
import torch
from torch import Tensor

from padis_gui.core.prior.checkpoint import load_prior, read_record
from padis_gui.core.settings.errors import (
    CheckpointError,
    DivergenceError,
    InputError,
    Interrupted,
    PadisError,
    SettingError,
)
from padis_gui.core.settings.files import write_atomically
from padis_gui.core.training import run as module
from padis_gui.core.training.log import (
    LOG_FILE,
    DataRead,
    Done,
    Looked,
    Stepped,
    TrainEvent,
    Validated,
    Warned,
    read_log,
)
from padis_gui.core.training.looks import SightSettings, load_look
from padis_gui.core.training.optimise import World
from padis_gui.core.training.plan import REQUEST_FILE, TrainingRequest, load_request
from padis_gui.core.training.run import run_training
from padis_gui.core.training.settings import DataSettings, TrainingSettings
from padis_gui.core.training.train import PRIOR_FILE, STATE_FILE, Training
from tests.tiny import TINY_NETWORK, phantom

CPU = torch.device("cpu")
SIZE = 32


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Six slices of three patients in HU."""
    path = tmp_path / "stack.tif"
    write_stack(path, 6)
    (tmp_path / "stack.csv").write_text("page,patient\n0,A\n1,A\n2,B\n3,B\n4,C\n5,C\n")
    return path


def write_stack(path: Path, pages: int) -> None:
    images = [phantom(SIZE) * (0.5 + 0.1 * page) for page in range(pages)]
    pixels = np.stack([(image.numpy() * 2000 - 1000).round().astype(np.int16) for image in images])
    tifffile.imwrite(path, pixels, photometric="minisblack")


def request(data: Path, steps: int = 6, look_every: int = 2, **changes: Any) -> TrainingRequest:
    training = {
        "steps": steps, "patch_sizes": (16, 8), "patch_probabilities": (0.7, 0.3), "pixels": 512, "warmup": 2,
        "checkpoint_every": 4, "validate_every": 3, "seed": 3,
    }  # fmt: skip
    sight = {
        "look_every": look_every, "look_share": 1.0, "levels": (0.1, 1.0), "evaluations": 2, "sample_steps": 2,
        "views": 12,
    }  # fmt: skip
    training |= changes.pop("training", {})
    sight |= changes.pop("sight", {})
    return TrainingRequest(
        data=(data,), data_settings=DataSettings(image_size=SIZE), training=TrainingSettings(**training),
        network=TINY_NETWORK, sight=SightSettings(**sight), device="cpu", precision="float32", **changes,
    )  # fmt: skip


def kinds(events: list[TrainEvent]) -> list[str]:
    return [f"{event.event} {event.step}" for event in events]


def of(kind: type, events: list[TrainEvent]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def state(folder: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(folder / STATE_FILE)


def same(a: Path, b: Path) -> bool:
    one, other = state(a), state(b)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# -- events and files -------------------------------------------------------------------------------------


def test_what_happens_in_which_order(stack: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    read: list[tuple[int, int]] = []
    events = list(
        run_training(request(stack), folder, reading=lambda done, total: read.append((done, total)))
    )
    assert kinds(events) == [
        "data 0", "step 1", "step 2", "looking 2", "look 2", "step 3", "validation 3", "step 4", "saved 4",
        "looking 4", "look 4", "step 5", "step 6", "validation 6", "saved 6", "looking 6", "look 6", "done 6",
    ]  # fmt: skip
    assert read[-1] == (6, 6)
    data = events[0]
    assert isinstance(data, DataRead)
    assert (data.images, data.subjects, data.validation) == (4, 2, 2)
    assert (data.name, data.total, data.unit, data.window) == ("run", 6, "HU", (-1000.0, 1000.0))
    assert data.parameters == sum(
        p.numel() for p in load_prior(folder / PRIOR_FILE, CPU, "float32").network.parameters()
    )
    looks = of(Looked, events)
    assert [look.file for look in looks] == ["looks/000002.npz", "looks/000004.npz", "looks/000006.npz"]
    for look in looks:
        found = load_look(folder / look.file)
        assert (found.step, found.psnr) == (look.step, look.look.psnr)
        assert found.truth is not None
    assert torch.equal(looks[0].look.noisy, looks[1].look.noisy)  # looks differ by the prior only
    assert not torch.equal(looks[0].look.denoised, looks[1].look.denoised)
    record = read_record(folder / PRIOR_FILE)
    assert record.name == "run"
    assert (record.training["images"], record.training["validation_images"]) == (4, 2)
    assert record.training["data_settings"]["image_size"] == SIZE


def test_looks_are_taken_at_what_was_kept_aside(stack: Path, tmp_path: Path) -> None:
    events = list(run_training(request(stack, steps=2), tmp_path / "run"))
    truth = of(Looked, events)[0].look.truth
    data = module.load_training_data(stack, DataSettings(image_size=SIZE))
    kept, aside = data.split(0.1, 3)
    assert any(torch.equal(truth, image) for image in aside.images)
    assert not any(torch.equal(truth, image) for image in kept.images)


def test_the_log_says_the_same(stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("padis_gui.core.training.run._LOG_SECONDS", math.inf)  # on a slow machine, too
    folder = tmp_path / "run"
    events = [e for e in run_training(request(stack, steps=25), folder) if e.logged]
    found = list(read_log(folder))
    assert [f"{e['event']} {e['step']}" for e in found] == kinds(events)
    steps = [e for e in found if e["event"] == "step"]
    assert [e["step"] for e in steps] == [1, 10, 20, 25]
    last, made = steps[-1], of(Stepped, events)[-1].made
    assert last["average"] == pytest.approx(made.average, rel=1e-5)
    assert {int(patch): loss for patch, loss in last["losses"].items()} == pytest.approx(
        made.losses, rel=1e-5
    )
    assert [v is None for v in last["levels"]] == [math.isnan(v) for v in made.levels]
    assert last["left"] == 0
    assert last["patches_per_second"] > 0
    assert last["memory"] > 2**20
    assert [path.suffix for path in (folder / "looks").iterdir()] == [".npz"] * 13
    assert len(list((folder / "tensorboard").iterdir())) == 1


def test_without_validation_looks_and_tensorboard(stack: Path, tmp_path: Path) -> None:
    wanted = request(stack, look_every=0, sight={"tensorboard": False})
    wanted = wanted.model_copy(update={"data_settings": DataSettings(image_size=SIZE, validation=0)})
    events = list(run_training(wanted, tmp_path / "run"))
    assert of(DataRead, events)[0].images == 6
    assert not of(Looked, events)
    assert not of(Validated, events)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        LOG_FILE, PRIOR_FILE, STATE_FILE, REQUEST_FILE,
    ]  # fmt: skip


def test_only_the_first_process_looks_and_writes(stack: Path, tmp_path: Path) -> None:
    class Second(World):
        @property
        def main(self) -> bool:
            return False

    events = list(run_training(request(stack), tmp_path / "run", world=Second()))
    assert len(of(Stepped, events)) == 6
    assert not of(Looked, events)
    assert not [p.name for p in (tmp_path / "run").iterdir() if p.name not in (STATE_FILE, PRIOR_FILE)]


# -- resuming ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [(0, 0), (2, 0), (1, 3)])
def test_stopping_and_looking_change_no_bit(stack: Path, tmp_path: Path, looks: tuple[int, int]) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    list(run_training(request(stack, look_every=0), whole))
    first = run_training(request(stack, look_every=looks[0]), parts)
    for event in first:
        if isinstance(event, Stepped) and event.step == 3:
            break
    first.close()
    assert state(parts).keys() == state(whole).keys()
    rest = list(run_training(request(stack, look_every=looks[1]), parts))
    assert [event.step for event in of(Stepped, rest)] == [4, 5, 6]
    assert same(whole, parts)
    assert len([e for e in read_log(parts) if e["event"] == "data"]) == 2


def test_the_request_lies_in_the_folder(stack: Path, tmp_path: Path) -> None:
    folder, wanted = tmp_path / "run", request(stack, name="mine")
    assert TrainingRequest.model_validate_json(wanted.model_dump_json()) == wanted
    list(run_training(wanted, folder))
    assert load_request(folder) == wanted
    longer = wanted.model_copy(update={"training": wanted.training.model_copy(update={"steps": 8})})
    assert [e.step for e in of(Stepped, list(run_training(longer, folder)))] == [7, 8]
    assert load_request(folder) == longer
    assert kinds(list(run_training(longer, folder))) == ["data 8", "done 8"]  # nothing is left to do


@pytest.mark.parametrize(
    ("changes", "named"), [({"validation": 0.5}, "validation"), ({"window_low": -500.0}, "window_low")]
)
def test_other_data_settings_are_refused(
    stack: Path, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    folder, wanted = tmp_path / "run", request(stack, steps=2)
    list(run_training(wanted, folder))
    other = wanted.model_copy(update={"data_settings": DataSettings(image_size=SIZE, **changes)})
    with pytest.raises(SettingError, match=rf"other settings of the data \({named}\)"):
        list(run_training(other, folder))
    assert load_request(folder) == wanted


def test_other_data_are_told(stack: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    list(run_training(request(stack, steps=2), folder))
    assert not of(Warned, list(run_training(request(stack, steps=3), folder)))
    write_stack(stack, 5)
    warned = of(Warned, list(run_training(request(stack, steps=4), folder)))
    assert [event.message.split(";")[0] for event in warned] == [
        "The data are not those that this training began with (images)"
    ]


def test_a_prior_is_trained_further(stack: Path, tmp_path: Path) -> None:
    wanted = request(stack, steps=2, look_every=0)
    window = DataSettings(image_size=SIZE, window_low=-800.0, window_high=900.0)
    list(run_training(wanted.model_copy(update={"data_settings": window}), tmp_path / "first"))
    further = wanted.model_copy(update={"start_from": tmp_path / "first" / PRIOR_FILE})
    folder = tmp_path / "second"
    list(run_training(further, folder))
    one, other = (read_record(tmp_path / name / PRIOR_FILE) for name in ("first", "second"))
    assert other.conventions == one.conventions
    assert load_request(folder).data_settings.window_low == -800.0
    (tmp_path / "first" / PRIOR_FILE).unlink()  # what it began with is no longer needed to go on
    longer = load_request(folder)
    longer = longer.model_copy(update={"training": longer.training.model_copy(update={"steps": 3})})
    assert of(Done, list(run_training(longer, folder)))[0].step == 3


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"data": 3}', '{"data": [], "version": 2}', "[" * 9000, "\x00" * 10]
)
def test_damaged_requests(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=f"holds no {REQUEST_FILE}"):
        load_request(tmp_path)
    (tmp_path / REQUEST_FILE).write_text(text)
    with pytest.raises(InputError, match="damaged"):
        load_request(tmp_path)


# -- what goes wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [RuntimeError("out of memory"), DivergenceError("diverged"), MemoryError(), ValueError("x")]
)
def test_a_look_that_fails_is_told_once_and_changes_nothing(
    stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    list(run_training(request(stack, look_every=0), tmp_path / "quiet"))

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(module, "look", fail)
    events = list(run_training(request(stack, look_every=1), tmp_path / "run"))
    warned = of(Warned, events)
    assert len(warned) == 1
    assert (str(error) or "MemoryError") in warned[0].message
    assert of(Done, events)
    assert same(tmp_path / "quiet", tmp_path / "run")


def test_a_look_ends_when_the_training_is_to_stop(stack: Path, tmp_path: Path) -> None:
    def stop() -> None:
        raise Interrupted

    events = list(run_training(request(stack), tmp_path / "run", check=stop))
    assert not of(Looked, events)
    assert not of(Warned, events)
    assert of(Done, events)


def fail_to_save(*_: object) -> Path:
    raise OSError(28, "No space left on device")


def test_a_full_disk_costs_the_looks_not_the_training(
    stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "save_look", fail_to_save)
    events = list(run_training(request(stack), tmp_path / "run"))
    assert [event.file for event in of(Looked, events)] == ["", "", ""]
    assert [event.message for event in of(Warned, events)] == [
        "Looks cannot be saved (No space left on device); the training goes on."
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_costs_the_log_not_the_training(stack: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / LOG_FILE).symlink_to("/dev/full")
    events = list(run_training(request(stack), folder))
    assert len(of(Stepped, events)) == 6
    warned = [event.message for event in of(Warned, events)]
    assert len(warned) == 1
    assert "No space left" in warned[0]
    load_prior(folder / PRIOR_FILE, CPU, "float32")


def test_how_it_ended_is_in_the_log(stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest: Callable[[Training], Any] = Training.__next__

    def diverge(training: Training) -> Any:
        if training.step == 3:
            raise DivergenceError("The loss has not been finite.")
        return honest(training)

    monkeypatch.setattr(Training, "__next__", diverge)
    folder = tmp_path / "run"
    with pytest.raises(DivergenceError):
        list(run_training(request(stack), folder))
    last = list(read_log(folder))[-1]
    assert (last["event"], last["step"]) == ("warning", 3)
    assert last["message"] == "The loss has not been finite."


def test_bad_requests_leave_nothing(stack: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for bad, error in (
        (request(tmp_path / "none.tif"), InputError),
        (request(stack, start_from=stack), CheckpointError),
        (request(stack, training={"patch_sizes": (18, 8)}), SettingError),
    ):
        with pytest.raises(error):
            list(run_training(bad, folder))
        assert not (folder / REQUEST_FILE).exists()


def test_closing_early_saves_and_reports_a_disk_that_is_full(
    stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = run_training(request(stack, look_every=0), tmp_path / "run")
    list(islice(events, 3))
    events.close()
    assert json.loads(_meta(tmp_path / "run" / STATE_FILE))["step"] == 2
    events = run_training(request(stack, look_every=0), tmp_path / "run")
    list(islice(events, 2))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("padis_gui.core.training.state.write_atomically", full)
    monkeypatch.setattr("padis_gui.core.prior.checkpoint.write_atomically", full)
    with pytest.raises(PadisError, match="No space left"):
        events.close()
    assert json.loads(_meta(tmp_path / "run" / STATE_FILE))["step"] == 2


def test_what_was_learned_is_kept_in_another_folder_where_its_own_refuses(
    stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a training goes on from there to the same bits."""
    events = run_training(request(stack, look_every=0), tmp_path / "run")
    list(islice(events, 3))

    def full(path: Path, data: bytes) -> None:
        if path.parent == tmp_path / "run":
            raise OSError(28, "No space left on device")
        write_atomically(path, data)

    with monkeypatch.context() as disk:
        disk.setattr("padis_gui.core.training.state.write_atomically", full)
        disk.setattr("padis_gui.core.prior.checkpoint.write_atomically", full)
        with pytest.raises(
            PadisError, match=r"No space left on device\); it is kept in .*run-kept, resume from there"
        ):
            events.close()
    kept = tmp_path / "run-kept"
    assert json.loads(_meta(kept / STATE_FILE))["step"] == 2
    assert load_request(kept) == load_request(tmp_path / "run")
    list(run_training(load_request(kept), kept))
    list(run_training(request(stack, look_every=0), tmp_path / "whole"))
    one, other = (safetensors.torch.load_file(folder / STATE_FILE) for folder in (kept, tmp_path / "whole"))
    assert all(torch.equal(one[name], other[name]) for name in one | other)


def _meta(path: Path) -> str:
    with safetensors.safe_open(path, framework="pt") as file:
        return str(file.metadata()["training"])


# -- when to look -----------------------------------------------------------------------------------------


def test_looks_wait_for_their_share_of_the_time(
    stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(clock)))
    # a step takes one tick of this clock, and so does a look
    steps = 30
    sight = {"look_share": 0.2, "evaluations": 0, "sample_steps": 0}
    events = list(run_training(request(stack, steps, look_every=1, sight=sight), tmp_path / "run"))
    at = [event.step for event in of(Looked, events)]
    assert at[0] == 1
    assert at[-1] == steps  # the last is never left out
    assert all(4 <= later - sooner <= 6 for sooner, later in pairwise(at[:-1]))
