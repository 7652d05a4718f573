"""What remains of a training: JSON lines that survive kills and full disks, TensorBoard files, one row of a table."""

import io
import json
import logging
import math
import os
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from padis_gui.core.settings.errors import InputError
from padis_gui.core.training.history import summarise_training, trainings_in
from padis_gui.core.training.log import (
    LOG_FILE,
    TENSORBOARD,
    DataRead,
    Done,
    EventFile,
    Looked,
    Saved,
    Stepped,
    TrainEvent,
    TrainingLog,
    Validated,
    Warned,
    read_log,
)
from padis_gui.core.training.looks import Look, contact_sheet
from padis_gui.core.training.run import Pace
from padis_gui.core.training.sources import Skipped
from padis_gui.core.training.train import NOISE_BINS, TrainStep

LEVELS = len(NOISE_BINS) + 1


def data_read(step: int = 0, **changes: Any) -> DataRead:
    fields = {
        "total": 100, "name": "toy", "images": 4, "subjects": 2, "validation": 1, "image_size": 8, "channels": 1,
        "window": (-1000.0, 1000.0), "unit": "HU", "skipped": (Skipped("a.png", "broken"),), "parameters": 1234,
        "device": "CPU", "precision": "float32",
    }  # fmt: skip
    return DataRead(step=step, **(fields | changes))


def stepped(step: int, average: float = 0.5, *, noted: bool = True) -> Stepped:
    made = TrainStep(
        step=step, total=100, loss=math.nan, average=average, patch=16, patches_seen=10 * step,
        learning_rate=1e-3, seconds=2.0 * step, saved=False, losses={16: 0.25, 8: 0.75},
        levels=(math.nan,) + (0.125,) * (LEVELS - 1), validation=None, stopped="", memory=2**30,
    )  # fmt: skip
    return Stepped(step=step, made=made, patches_per_second=5.0, left=60.0, noted=noted)


def looked(step: int, psnr: float = 30.0, colours: int = 1) -> Looked:
    levels = torch.linspace(-0.5, 1.5, 2 * colours * 64).reshape(2, colours, 8, 8)
    image = levels[0]
    look = Look(
        step=step, levels=(0.1, 1.0), clean=levels, noisy=levels, denoised=levels * math.nan, sample=image,
        problem="CT, 20 views", reconstruction=image, baseline=image, truth=image, psnr=psnr, ssim=0.75,
        baseline_psnr=20.0, seconds=1.0,
    )  # fmt: skip
    return Looked(step=step, look=look, file=f"looks/{step:06d}.npz")


def kept(folder: Path, events: list[TrainEvent], *, tensorboard: bool = False, first: int = 0) -> None:
    log = TrainingLog(folder, tensorboard=tensorboard, first_step=first)
    for event in events:
        log.write(event)
    log.close()


# -- JSON lines -------------------------------------------------------------------------------------------


def test_every_event_is_a_line_and_back(tmp_path: Path) -> None:
    events = [
        data_read(), stepped(1), stepped(2, noted=False), Validated(step=2, loss=math.inf), looked(2, math.nan),
        Saved(step=2), Warned(step=2, message="Ω\n“"), Done(step=2, stopped="", prior="p", seconds=4.0),
    ]  # fmt: skip
    kept(tmp_path, events)
    text = (tmp_path / LOG_FILE).read_text(encoding="utf-8")
    assert text.count("\n") == len(text.splitlines()) == 7  # the step that is not noted is left out
    found = list(read_log(tmp_path))
    assert [e["event"] for e in found] == [
        "data", "step", "validation", "look", "saved", "warning", "done",
    ]  # fmt: skip
    assert found[0]["skipped"] == [{"name": "a.png", "reason": "broken"}]
    assert found[1]["losses"] == {"16": 0.25, "8": 0.75}
    assert found[1]["levels"] == [None] + [0.125] * (LEVELS - 1)
    assert (found[1]["loss"], found[2]["loss"], found[3]["psnr"]) == (None, None, None)
    assert found[5]["message"] == "Ω\n“"
    assert all(e["time"] > 1e9 for e in found)


def test_a_log_goes_on_where_a_kill_left_it(tmp_path: Path) -> None:
    kept(tmp_path, [stepped(1), stepped(2)])
    path = tmp_path / LOG_FILE
    path.write_bytes(path.read_bytes()[:-30])
    kept(tmp_path, [stepped(2), stepped(3)], first=1)
    assert [e["step"] for e in read_log(tmp_path)] == [1, 2, 3]
    assert len(path.read_bytes().splitlines()) == 4


def test_damaged_logs_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    assert list(read_log(tmp_path)) == []
    whole = stepped(1).line().encode()
    lines = [b"", b"words", b"[]", b"{}", b'{"event": 3}', b"[" * 10_000, b"\xff\x00", whole[:-2], whole]
    (tmp_path / LOG_FILE).write_bytes(b"\n".join(lines))
    assert [e["step"] for e in read_log(tmp_path)] == [1]


class FullDisk:
    """Writing fails, or writes only a part, for as long as it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        honest = io.FileIO.write

        class File(io.FileIO):
            def write(inner, data: Any) -> int:  # noqa: N805 - the disk is self
                return honest(inner, data[:10]) if self.full else honest(inner, data)

        def opened(path: Path, mode: str = "r", buffering: int = -1, **more: Any) -> Any:
            return File(path, "ab") if mode == "ab" else open(path, mode, buffering, **more)

        monkeypatch.setattr(Path, "open", opened)


def test_a_full_disk_is_told_once_and_what_comes_later_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FullDisk(monkeypatch)
    log = TrainingLog(tmp_path, tensorboard=False, first_step=0)
    log.write(stepped(1))
    disk.full = True
    for step in (2, 3, 4):
        log.write(stepped(step))
    disk.full = False
    log.write(stepped(5))
    log.close()
    assert [r.getMessage() for r in caplog.records] == [
        f"The log cannot be written ({os.strerror(28)}); the training goes on without."
    ]
    assert [e["step"] for e in read_log(tmp_path)] == [1, 5]


def test_a_folder_that_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = TrainingLog(tmp_path / "none", tensorboard=True, first_step=0)
    log.write(stepped(1))
    log.write(stepped(2))
    log.close()
    assert len(caplog.records) == 2  # one for each kind of file
    assert {r.levelno for r in caplog.records} == {logging.WARNING}


# -- TensorBoard ------------------------------------------------------------------------------------------


def event_files(folder: Path) -> list[list[Any]]:
    """The events of each file in order, read as TensorBoard does: length, checksum, bytes, checksum."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    files = []
    for path in sorted((folder / TENSORBOARD).iterdir(), key=lambda p: (p.stat().st_mtime_ns, p.name)):
        data, events = path.read_bytes(), []
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            record = data[12 : 12 + size]
            assert struct.unpack("<I", data[8:12])[0] == masked_crc32c(data[:8])
            assert struct.unpack("<I", data[12 + size : 16 + size])[0] == masked_crc32c(record)
            events.append(Event.FromString(record))
            data = data[16 + size :]
        files.append(events)
    return files


@pytest.mark.parametrize("colours", [1, 3])
def test_tensorboard_gets_curves_and_pictures(tmp_path: Path, colours: int) -> None:
    threads = threading.active_count()
    kept(
        tmp_path,
        [data_read(), stepped(10), Validated(step=10, loss=0.4), looked(10, 31.0, colours), Saved(step=10)],
        tensorboard=True,
    )
    assert threading.active_count() == threads
    (events,) = event_files(tmp_path)
    values = {value.tag: (event.step, value) for event in events for value in event.summary.value}
    scalars = {
        tag: v.simple_value for tag, (_, v) in values.items() if v.WhichOneof("value") == "simple_value"
    }
    assert scalars == pytest.approx(
        {
            "loss/average": 0.5, "loss/validation": 0.4, "learning_rate": 1e-3,
            "throughput/patches_per_second": 5.0, "throughput/memory_MiB": 1024.0,
            "loss_by_patch/16_px": 0.25, "loss_by_patch/8_px": 0.75,
            "look/psnr_dB": 31.0, "look/psnr_of_baseline_dB": 20.0, "look/ssim": 0.75,
            **{tag: 0.125 for tag in scalars if tag.startswith("loss_by_noise_level/")},
        }
    )  # fmt: skip
    assert len([tag for tag in scalars if tag.startswith("loss_by_noise_level/")]) == LEVELS - 1
    assert {step for step, _ in values.values()} == {10}
    pictures = {tag: v.image for tag, (_, v) in values.items() if v.WhichOneof("value") == "image"}
    assert pictures.keys() == {"denoised", "sample", "baseline_reconstruction_truth"}
    for image in pictures.values():
        with Pillow.open(io.BytesIO(image.encoded_image_string)) as picture:
            assert picture.size == (image.width, image.height)
            assert picture.mode == ("L" if colours == 1 else "RGB")
    assert (pictures["denoised"].width, pictures["denoised"].height) == (20, 20)


def test_a_resumed_training_is_a_new_file_that_replaces_what_was_lost(tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import SessionLog

    kept(tmp_path, [stepped(10), stepped(20)], tensorboard=True)
    kept(tmp_path, [stepped(16)], tensorboard=True, first=15)
    first, second = event_files(tmp_path)
    assert [e.step for e in first if e.summary.value] == [10, 20]
    starts = [e for e in second if e.WhichOneof("what") == "session_log"]
    assert [(e.step, e.session_log.status) for e in starts] == [(16, SessionLog.START)]


def test_without_tensorboardx_there_are_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboardX"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    kept(tmp_path, [stepped(1), stepped(2)], tensorboard=True)
    assert len(caplog.records) == 1
    assert "TensorBoard files cannot be written" in caplog.text
    assert [e["step"] for e in read_log(tmp_path)] == [1, 2]


def test_a_full_disk_costs_a_piece_of_the_curves_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    honest = EventFile.write

    def sometimes(file: EventFile, event: TrainEvent) -> None:
        if event.step in (2, 3):
            raise OSError(28, "No space left on device")
        honest(file, event)

    monkeypatch.setattr(EventFile, "write", sometimes)
    kept(tmp_path, [stepped(step) for step in (1, 2, 3, 4)], tensorboard=True)
    assert len(caplog.records) == 1
    first, second = event_files(tmp_path)  # nothing is left of those that could not be written
    assert [e.step for e in first + second if e.summary.value] == [1, 4]


# -- sheets and pace --------------------------------------------------------------------------------------


def test_a_sheet_holds_every_image_at_its_place() -> None:
    images = [torch.full((1, 4, 6), value) for value in (0.0, 1.0, 2.0, math.nan, 0.5)]
    sheet = contact_sheet(images, 2)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (3 * 8 - 4, 2 * 10 - 4)
    found = [sheet[r * 8 : r * 8 + 4, c * 10 : c * 10 + 6] for r in range(3) for c in range(2)]
    assert [set(np.unique(part)) for part in found[:5]] == [{0}, {255}, {255}, {0}, {128}]
    assert len(np.unique(found[5])) == 1  # nothing there
    assert contact_sheet(images[:1], 5).shape == (4, 6)
    assert contact_sheet([torch.rand(3, 40, 20)] * 2, 2, cell=10).shape == (10, 14, 3)
    ramp = torch.linspace(0, 1, 64).expand(1, 64, 64)
    assert contact_sheet([ramp], 1, cell=16)[0] == pytest.approx(np.linspace(6, 249, 16), abs=4)


def test_the_pace_is_steady_and_follows() -> None:
    pace = Pace(half_life=60)
    assert pace.seconds_a_step == 0
    pace.step(30.0, 16)  # allocates, compiles
    assert pace.seconds_a_step == 30
    pace.step(10.0, 8)
    assert pace.seconds_a_step == 20
    for _ in range(50):
        pace.step(0.5, 16)
    assert pace.seconds_a_step == pytest.approx(0.5)
    pace.step(1.5, 8)
    assert pace.seconds_a_step == pytest.approx(0.5, rel=0.06)  # one slow step moves it little
    for _ in range(300):
        pace.step(1.0, 16)
    assert pace.seconds_a_step == pytest.approx(1.0, rel=0.03)  # five minutes at another speed


# -- one row of a table -----------------------------------------------------------------------------------


def test_a_summary_says_what_holds_at_the_end(tmp_path: Path) -> None:
    kept(tmp_path, [
        data_read(), stepped(10, 0.9), Validated(step=10, loss=0.8), Validated(step=20, loss=0.1), stepped(20),
        data_read(10), stepped(15, 0.7), Validated(step=20, loss=0.6), looked(20, 28.0), looked(25, 29.5),
        stepped(25, 0.65),
    ])  # fmt: skip
    summary = summarise_training(tmp_path)
    assert (summary.name, summary.state, summary.step, summary.total) == ("toy", "unfinished", 25, 100)
    assert (summary.patches_seen, summary.seconds, summary.loss) == (250, 50.0, 0.65)
    assert summary.validation == 0.6  # what came after the checkpoint was made again
    assert (summary.psnr, summary.baseline_psnr, summary.parameters) == (29.5, 20.0, 1234)
    kept(tmp_path, [Done(step=100, stopped="", prior="p", seconds=1.0)])
    assert summarise_training(tmp_path).state == "done"
    kept(tmp_path, [data_read(50), Done(step=60, stopped="no better", prior="p", seconds=1.0)])
    assert (summarise_training(tmp_path).state, summarise_training(tmp_path).step) == ("stopped early", 60)


def test_summaries_of_what_is_hardly_there(tmp_path: Path, prior_path: Path) -> None:
    empty = summarise_training(tmp_path)
    assert (empty.name, empty.step) == (tmp_path.name, 0)
    assert math.isnan(empty.validation)
    (tmp_path / LOG_FILE).write_text(
        "\n".join(
            json.dumps({"event": name, "step": value, "loss": value, "total": value, "psnr": value})
            for name in ("data", "step", "validation", "look", "done", "nonsense")
            for value in (None, "many", [], True, 1e400)
        )
    )
    assert summarise_training(tmp_path).step == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "prior.safetensors").write_bytes(prior_path.read_bytes())
    summary = summarise_training(other)  # without a log, what the prior says
    assert summary.name == "tiny"
    assert summary.parameters > 1000
    (other / "prior.safetensors").write_bytes(b"words")
    assert summarise_training(other).name == "other"


def test_trainings_are_found_in_folders_of_them(tmp_path: Path) -> None:
    for name in ("b", "a", "none"):
        (tmp_path / name).mkdir()
    for name in ("b", "a"):
        kept(tmp_path / name, [data_read()])
    a, b = tmp_path / "a", tmp_path / "b"
    assert trainings_in([tmp_path]) == [a, b]
    assert trainings_in([b, tmp_path, b]) == [b, a]
    for bad in (tmp_path / "none", tmp_path / "absent", a / LOG_FILE):
        with pytest.raises(InputError):
            trainings_in([bad])
