"""The curves of a training, from its events: a resume overwrites, damage is left out."""

import json
import math

import pytest

from padis_gui.core.training.history import TrainingHistory, read_history


def step(number, loss=0.5, **more):
    """The event of a step."""
    event = {
        "event": "step", "step": number, "total": 100, "average": loss, "seconds": 2.0 * number,
        "losses": {"32": loss}, "levels": [loss, None], "memory": 1000, "left": 9.0, "patches_per_second": 7.0,
    }  # fmt: skip
    return event | more


def history_of(*events):
    history = TrainingHistory()
    for event in events:
        history.take(event)
    return history


def consistent(history):
    lengths = {len(history.steps), len(history.seconds), len(history.average)}
    lengths |= {len(series) for series in history.losses.values()} | {
        len(series) for series in history.levels
    }
    return len(lengths) == 1 and history.steps == sorted(set(history.steps))


def test_steps_become_curves_with_nan_where_nothing_was_drawn():
    history = history_of(
        step(10),
        step(20, 0.25, losses={"16": 0.3, "32": 0.2}),
        step(30, losses={"16": 0.1}, levels=[0.1, 0.2, 0.3]),
    )
    assert consistent(history)
    assert history.steps == [10, 20, 30]
    assert history.losses[32][:2] == [0.5, 0.2]
    assert math.isnan(history.losses[32][2])
    assert math.isnan(history.losses[16][0])
    assert [len(history.levels), history.levels[2][2]] == [3, 0.3]
    assert all(math.isnan(value) for value in history.levels[1][:2])
    assert (history.total, history.left, history.patches_per_second) == (100, 9.0, 7.0)


def test_a_resume_goes_over_what_lies_after_its_checkpoint():
    def look(number):
        return {"event": "look", "step": number, "file": f"looks/{number}.npz", "psnr": 30.0}

    def validation(number, loss):
        return {"event": "validation", "step": number, "loss": loss}

    began = [step(n, loss=1.0) for n in (10, 20, 30, 40)]
    history = history_of(
        *began, validation(20, 1.0), validation(40, 1.0), look(20), look(40),
        {"event": "data", "step": 25, "total": 200},
    )  # fmt: skip
    assert history.steps == [10, 20]
    assert [number for number, _ in history.validation] == [20]
    assert [point.step for point in history.looks] == [20]
    for number in (30, 40):
        history.take(step(number, loss=0.5))
    history.take(validation(40, 0.5))
    history.take(look(40))
    assert consistent(history)
    assert history.average == [1.0, 1.0, 0.5, 0.5]
    assert history.validation == [(20, 1.0), (40, 0.5)]
    assert [point.step for point in history.looks] == [20, 40]


def test_going_on_after_the_end_is_no_longer_finished():
    done = {
        "event": "done",
        "step": 10,
        "stopped": "The validation loss has not improved.",
        "prior": "",
        "seconds": 1,
    }
    history = history_of(step(10), done)
    assert history.finished
    assert "improved" in history.reason
    history.take(step(20))
    assert not history.finished
    assert history.reason == ""


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"event": "step"},
        step(6) | {"step": "ten"},
        step(6) | {"step": True},
        step(10, losses={"large": 1}),
        step(10, levels=3),
        {"event": "look", "step": 3},
        {"event": "validation", "step": None, "loss": 1},
        {"event": "data", "step": 0},
    ],
)
def test_a_malformed_event_is_counted_and_changes_nothing(event):
    history = history_of(step(5))
    assert history.take(event) == ""
    assert history.unreadable == 1
    assert history.steps == [5]
    assert consistent(history)


def test_minutes_follow_the_steps():
    history = history_of(step(30), step(60))
    assert history.minutes_at([30, 45, 60]) == [1.0, 1.5, 2.0]
    assert all(math.isnan(minute) for minute in TrainingHistory().minutes_at([1, 2]))


def test_a_log_cut_in_the_middle_of_a_line_is_read_up_to_there(tmp_path):
    lines = [json.dumps(step(n)) for n in (1, 2, 3)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines)[:-20])
    assert read_history(tmp_path).steps == [1, 2]
    assert read_history(tmp_path / "nowhere").steps == []
