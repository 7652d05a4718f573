"""Training learns, says where it is, measures itself on data kept aside, and ends well whatever happens."""

import math
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from padis_gui.core.prior.checkpoint import load_prior, read_record
from padis_gui.core.prior.network import PatchUNet
from padis_gui.core.prior.partition import Frame, tiles_and_pad
from padis_gui.core.prior.prior import denoise_patches
from padis_gui.core.prior.tiling import TilingSettings, make_tiling, strategy_and_patch
from padis_gui.core.settings.errors import DivergenceError, InputError, SettingError
from padis_gui.core.training import optimise as module
from padis_gui.core.training.dataset import TrainingData
from padis_gui.core.training.optimise import Validation, World, draw_batch
from padis_gui.core.training.plan import fresh
from padis_gui.core.training.settings import TrainingSettings
from padis_gui.core.training.train import NOISE_BINS, PRIOR_FILE, STATE_FILE, TrainStep, learning_rate
from tests.tiny import TINY_NETWORK, phantom, tiny_network
from tests.toy_training import CPU, aside, equal, settings, start, tensors, toy_data

TINY_NETWORK_KEYS = [key for key, _ in tiny_network().named_parameters()]


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
    assert conventions.sigma_data == 0.5
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


def test_events_keep_losses_apart_by_patch_size_and_noise_level(tmp_path: Path) -> None:
    events = list(start(tmp_path, settings(steps=40, sigma_mean=-3.0, sigma_std=0.4)))
    first: dict[int, float] = {}
    for event in events:
        first.setdefault(event.patch, event.loss)
        assert event.losses.keys() == first.keys()
        if event.loss == first[event.patch]:
            assert event.losses[event.patch] == event.loss
    for before, event in pairwise(events):
        for size, loss in before.losses.items():
            smoothed = 0.99 * loss + 0.01 * event.loss if size == event.patch else loss
            assert event.losses[size] == pytest.approx(smoothed)
    levels = events[-1].levels
    assert len(levels) == len(NOISE_BINS) + 1
    # sigma is 0.05, within a factor of 5
    assert [math.isfinite(level) for level in levels] == [False, True, True, True, False, False, False]
    assert all(event.memory > 2**20 for event in events)


def test_running_losses_of_all_noise_levels_make_up_that_of_the_step(tmp_path: Path) -> None:
    (event,) = start(tmp_path, settings(steps=1))
    batch = draw_batch(toy_data(), settings(steps=1), Frame(32, 16), torch.Generator().manual_seed(3))
    place = torch.bucketize(batch.sigma, torch.tensor(NOISE_BINS), right=True)
    counts = torch.bincount(place, minlength=len(NOISE_BINS) + 1).tolist()
    total = sum(n * level for n, level in zip(counts, event.levels, strict=True) if n)
    assert total / len(batch) == pytest.approx(event.loss)


def test_several_averages_at_once_are_those_of_several_trainings(tmp_path: Path) -> None:
    list(start(tmp_path / "both", settings(ema=(0.3, 0.2))))
    both = tensors(tmp_path / "both")
    for decay in (0.3, 0.2):
        list(start(tmp_path / str(decay), settings(ema=decay)))
        one = tensors(tmp_path / str(decay))
        kept = [key for key in one if key.startswith(f"ema:{decay}:")]
        assert len(kept) == len(TINY_NETWORK_KEYS)
        assert all(torch.equal(one[key], both[key]) for key in one)
    assert not torch.equal(both["ema:0.3:leave.weight"], both["ema:0.2:leave.weight"])


def test_the_first_average_becomes_the_prior_where_nothing_is_measured(tmp_path: Path) -> None:
    training = start(tmp_path, settings(ema=(0.3, 0.9)))
    list(training)
    record, stored = read_record(tmp_path / PRIOR_FILE), tensors(tmp_path)
    assert record.training["weights"] == {"ema": 0.3, "step": 8, "why": "no validation"}
    written = safetensors.torch.load_file(tmp_path / PRIOR_FILE)
    assert all(torch.equal(written[k], stored[f"ema:0.3:{k}"].half()) for k in written)
    live = training.prior()
    assert all(torch.equal(v, stored[f"ema:0.3:{k}"]) for k, v in live.network.state_dict().items())
    assert live.conventions == record.conventions
    part = make_tiling("random", (32, 32), 16, live.conventions.frame).draw(torch.Generator().manual_seed(0))
    with torch.no_grad():
        images = [
            prior.denoise(phantom(32)[None], 0.1, part, torch.Generator().manual_seed(0))
            for prior in (live, load_prior(tmp_path / PRIOR_FILE, CPU, "float32"))
        ]
    torch.testing.assert_close(images[0], images[1], atol=2e-3, rtol=0)


def test_a_snapshot_of_the_prior_stays_as_it_was(tmp_path: Path) -> None:
    training = start(tmp_path, settings())
    next(training)
    prior = training.prior()
    before = {k: v.clone() for k, v in prior.network.state_dict().items()}
    list(training)
    assert equal(before, dict(prior.network.state_dict()))
    assert not equal(before, dict(training.prior().network.state_dict()))
    assert not any(p.requires_grad for p in prior.network.parameters())


def test_layouts_differ_by_rounding_only(tmp_path: Path) -> None:
    for name, channels_last in (("last", True), ("first", False)):
        training = start(tmp_path / name, settings(channels_last=channels_last))
        list(training)
        weight = training.prior().network.get_parameter("encoder.0.0.conv0.weight")
        assert weight.is_contiguous(memory_format=torch.channels_last) == channels_last
    last, first = tensors(tmp_path / "last"), tensors(tmp_path / "first")
    for key in first:
        torch.testing.assert_close(last[key], first[key], atol=1e-4, rtol=1e-3)


def test_where_nothing_can_be_compiled_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Uncompiled(nn.Module):
        def forward(self, *_: Tensor) -> Tensor:
            raise RuntimeError("no working C++ compiler found")

    monkeypatch.setattr(torch, "compile", lambda network, dynamic: Uncompiled())
    list(start(tmp_path / "compiled", settings(compile=True)))
    list(start(tmp_path / "plain", settings()))
    assert "no working C++ compiler" in caplog.text
    assert equal(tensors(tmp_path / "compiled"), tensors(tmp_path / "plain"))


# -- what a step trains on --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flips", "axes"), [("none", ()), ("horizontal", (0,)), ("vertical", (1,)), ("both", (0, 1))]
)
def test_a_flipped_pixel_keeps_its_true_position(flips: str, axes: tuple[int, ...]) -> None:
    """On an image whose value says where a pixel lies, whatever is cut out says so too."""
    axis = torch.linspace(0, 1, 32)
    image = (axis[None, :] + 3 * axis[:, None])[None] / 4
    data = TrainingData(image[None], ((0,),), (0.0, 1.0), "")
    run = settings(flips=flips, pixels=64 * 256, patch_sizes=(16,), patch_probabilities=(1.0,))
    batch = draw_batch(data, run, Frame(32, 0), torch.Generator().manual_seed(0))
    columns, rows = ((batch.positions[:, n] + 1) / 2 for n in (0, 1))
    torch.testing.assert_close(batch.clean[:, 0], (columns + 3 * rows) / 4)
    for n, steps in enumerate((columns[:, 0, 1] - columns[:, 0, 0], rows[:, 1, 0] - rows[:, 0, 0])):
        backwards = float((steps < 0).float().mean())
        assert 0.25 < backwards < 0.75 if n in axes else backwards == 0


def test_padding_is_what_the_largest_patch_needs_and_none_for_the_whole_image() -> None:
    def pad(size: int, *patches: int) -> int:
        run = TrainingSettings(patch_sizes=patches, patch_probabilities=(1.0,) * len(patches))
        return run.pad(size)

    assert pad(256, 56) == 24
    assert pad(256, 96, 56, 32, 16) == 32
    assert pad(256, 256) == 0
    assert pad(256, 264) == 4
    assert pad(255, 264) == 5  # the padded image holds the patch
    assert pad(256, 256, 96) == 32


def test_a_whole_image_prior_from_training_to_one_tile(tmp_path: Path) -> None:
    run = settings(patch_sizes=(32,), patch_probabilities=(1.0,), pixels=3 * 1024)
    events = list(start(tmp_path, run))
    assert {e.patch for e in events} == {32}
    prior = load_prior(tmp_path / PRIOR_FILE, CPU, "float32")
    assert (prior.conventions.pad, prior.conventions.patch_sizes) == (0, (32,))
    for strategy in ("auto", "whole"):
        chosen = TilingSettings.model_validate({"strategy": strategy})
        name, patch = strategy_and_patch(chosen, (32, 32), prior)
        assert (name, patch) == ("whole", 32)
        part = make_tiling(name, (32, 32), patch, prior.conventions.frame).draw(torch.Generator())
        assert part.padded_shape == (32, 32)
        positions = part.positions()
        assert positions.shape == (1, 2, 32, 32)
        assert (float(positions.min()), float(positions.max())) == (-1.0, 1.0)
        x = phantom(32)[None]
        with torch.no_grad():
            found = prior.denoise(x, 0.3, part, torch.Generator().manual_seed(0))
            sigma = torch.tensor([0.3])
            told = prior.conventions.sigma_data
            expected = denoise_patches(prior.network, x[None], sigma, positions, told, "float32")[0]
        torch.testing.assert_close(found, expected)


# -- data kept aside --------------------------------------------------------------------------------------


def _validations(values: list[dict[float, float]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the measurements come out like this."""
    left = iter(values)
    monkeypatch.setattr(Validation, "measure", lambda *_: next(left))


def test_measuring_leaves_the_training_as_it_is(tmp_path: Path) -> None:
    plain = list(start(tmp_path / "plain", settings()))
    measured = list(start(tmp_path / "measured", settings(validate_every=2), validation=aside()))
    assert [e.loss for e in plain] == [e.loss for e in measured]
    assert [e.step for e in measured if e.validation is not None] == [2, 4, 6, 8]
    a, b = tensors(tmp_path / "plain"), tensors(tmp_path / "measured")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert {key for key in b if key not in a} == {f"best:{key}" for key in TINY_NETWORK_KEYS}


def test_measurements_can_be_compared(tmp_path: Path) -> None:
    """The same weights have the same loss, in trainings of any seed; and learning lowers it."""
    run = settings(steps=60, learning_rate=3e-3, sigma_mean=-0.5, sigma_std=0.6, validate_every=1, ema=0.5)
    first = list(start(tmp_path / "a", run, validation=aside()))
    losses = [e.validation for e in first if e.validation is not None]
    assert len(losses) == 60
    assert losses[-1] < 0.8 * losses[0]
    rough = [abs(b - a) for a, b in pairwise(losses[-20:])]
    assert max(rough) < 0.1 * losses[-1]  # nothing but the weights changes between two
    training = start(tmp_path / "a", run)
    network, conventions = training.prior().network, training.conventions
    weights = {0.5: dict(network.state_dict())}
    found = [
        Validation(aside(), run.model_copy(update={"seed": seed}), conventions).measure(
            network, weights, "float32", World()
        )[0.5]
        for seed in (3, 77)
    ]
    assert found[0] == found[1] == pytest.approx(losses[-1], rel=1e-5)


def test_validation_is_the_loss_of_the_largest_patch_over_all_noise_levels() -> None:
    """An untrained network says D = c_skip x, whose weighted loss is known: (c_skip (y + s e) - y)^2 / c_out^2."""

    run = settings(pixels=64 * 256)
    network = PatchUNet(TINY_NETWORK)
    plan = fresh(toy_data(), run, TINY_NETWORK)
    weights = {0.9: dict(network.state_dict())}
    found = Validation(aside(), run, plan.conventions).measure(network, weights, "float32", World())[0.9]
    assert 0.5 < found < 1.5  # one on average, by the design of the preconditioning


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_weights_whose_loss_is_no_number_are_not_the_best(tmp_path: Path, broken: float) -> None:

    training = start(tmp_path, settings(), validation=aside())
    network = training.prior().network
    bad = {k: torch.full_like(v, broken) for k, v in network.state_dict().items()}
    validation = Validation(aside(), settings(), training.conventions)
    weights = {0.9: bad, 0.5: dict(network.state_dict())}
    found = validation.measure(network, weights, "float32", World())
    assert found[0.9] == math.inf
    assert math.isfinite(found[0.5])
    training.close()


def test_the_best_on_validation_becomes_the_prior(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [{0.3: 0.9, 0.5: 0.8}, {0.3: 0.6, 0.5: 0.7}, {0.3: 0.7, 0.5: 0.65}, {0.3: 0.9, 0.5: 0.9}]
    _validations(values, monkeypatch)
    training = start(tmp_path, settings(ema=(0.5, 0.3), validate_every=2), validation=aside())
    after_four = None
    seen = []
    for event in training:
        seen.append(event.validation)
        if event.step == 4:
            after_four = {k: v.clone() for k, v in training.prior().network.state_dict().items()}
    assert [v for v in seen if v is not None] == [0.8, 0.6, 0.65, 0.9]
    assert after_four is not None
    written = safetensors.torch.load_file(tmp_path / PRIOR_FILE)
    assert all(torch.equal(written[k], after_four[k].half()) for k in written)
    record = read_record(tmp_path / PRIOR_FILE).training
    assert record["steps"] == 8
    assert record["weights"] == {"ema": 0.3, "step": 4, "why": "least validation loss"}
    assert record["validation"] == {"loss": 0.6, "last": {"0.3": 0.9, "0.5": 0.9}}


def test_patience_ends_a_training_that_gets_no_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _validations([{0.9: v} for v in (0.9, 0.5, 0.6, 0.5, 0.7, 0.8, 0.9)], monkeypatch)
    run = settings(steps=50, ema=0.9, validate_every=3, patience=2)
    events = list(start(tmp_path, run, validation=aside()))
    assert events[-1].step == 12
    assert [e.stopped for e in events[:-1]] == [""] * 11
    assert "no better validation loss in 2 measurements since step 6" in events[-1].stopped
    assert events[-1].saved
    assert list(start(tmp_path, run, validation=aside())) == []  # it has ended
    patient = run.model_copy(update={"patience": 3, "steps": 16})
    later = list(start(tmp_path, patient, validation=aside()))
    assert [e.step for e in later] == [13, 14, 15]
    assert later[-1].stopped


def test_without_data_kept_aside_any_more_the_prior_follows_the_training(tmp_path: Path) -> None:
    list(start(tmp_path, settings(validate_every=2, patience=1), validation=aside()))
    list(start(tmp_path, settings(steps=12, decay=0.0)))
    assert read_record(tmp_path / PRIOR_FILE).training["weights"]["why"] == "no validation"
    assert read_record(tmp_path / PRIOR_FILE).training["weights"]["step"] == 12


# -- what goes wrong --------------------------------------------------------------------------------------


def test_contradictions_are_found_before_training(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"divisible by 4.*but 18 was given"):
        start(tmp_path, settings(patch_sizes=(18, 8)))
    with pytest.raises(SettingError, match=r"3 channels \(colour\) were wanted.*the data have 1"):
        start(tmp_path, settings(), TINY_NETWORK.model_copy(update={"image_channels": 3}))
    with pytest.raises(SettingError, match=r"shape \(1, 32, 32\) were wanted"):
        start(tmp_path, settings(), validation=toy_data(40))
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
