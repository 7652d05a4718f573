"""Training a prior further keeps its network and its conventions, and says what it could not keep."""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from padis_gui.core.prior.checkpoint import PriorRecord, load_prior, read_record, save_prior
from padis_gui.core.prior.edm_network import EdmUNet
from padis_gui.core.prior.network_settings import EdmNetworkSettings, NetworkSettings
from padis_gui.core.prior.prior import Conventions
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.files import file_sha256
from padis_gui.core.training.dataset import TrainingData
from padis_gui.core.training.plan import settings_for_prior
from padis_gui.core.training.settings import DataSettings, TrainingSettings
from padis_gui.core.training.train import PRIOR_FILE, Training, train
from tests.tiny import TINY_NETWORK, tiny_network
from tests.toy_training import CPU, aside, equal, settings, tensors, toy_data

OTHER_NETWORK = NetworkSettings(width=64, multipliers=(1.0,), blocks=1, embedding=64)
OLD = Conventions(
    image_size=32, pad=20, patch_sizes=(32, 16), sigma_data=0.42, window=(-1000.0, 1000.0), unit="HU"
)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write_prior(tmp_path / "old.safetensors")


def write_prior(path: Path, seed: int = 0, **conventions: Any) -> Path:
    record = PriorRecord(
        name="the old one",
        network=TINY_NETWORK,
        conventions=OLD.model_copy(update=conventions),
        training={"steps": 70},
    )
    save_prior(path, record, tiny_network(seed).state_dict())
    return path


def start(
    folder: Path,
    start_from: Path | None,
    run: TrainingSettings | None = None,
    data: TrainingData | None = None,
) -> Training:
    return train(
        data or toy_data(), folder, run or settings(), OTHER_NETWORK,
        device=CPU, precision="float32", start_from=start_from,
    )  # fmt: skip


def test_it_begins_as_the_prior_that_it_is_given(old: Path, tmp_path: Path) -> None:
    begun = start(tmp_path / "run", old).prior()
    before = load_prior(old, CPU, "float32")
    assert equal(dict(begun.network.state_dict()), dict(before.network.state_dict()))
    assert begun.network.settings == TINY_NETWORK


def test_conventions_are_kept_and_changes_are_said(old: Path, tmp_path: Path) -> None:
    training = start(tmp_path / "run", old)
    list(training)
    record = read_record(tmp_path / "run" / PRIOR_FILE)
    assert record.conventions == OLD.model_copy(update={"patch_sizes": (16, 8)})
    assert record.network == TINY_NETWORK
    origin = record.training["started_from"]
    assert (origin["name"], origin["steps"]) == ("the old one", 70)
    assert record.steps == 78
    assert origin["sha256"] == file_sha256(old)
    assert origin["changed"] == ["patch sizes 32, 16 became 16, 8"]
    assert training.origin == origin
    assert training.data_sigma == 0.42
    before, after = (safetensors.torch.load_file(p) for p in (old, tmp_path / "run" / PRIOR_FILE))
    assert not equal(before, after)


def test_another_sigma_d_is_taken_where_it_is_asked_for_and_said(old: Path, tmp_path: Path) -> None:
    training = start(tmp_path / "run", old, settings(sigma_data=0.5))
    assert training.conventions.sigma_data == 0.5
    assert training.origin["changed"][-1] == "σ_d 0.42 became 0.5"
    assert start(tmp_path / "fresh", None, settings(sigma_data=0.7)).conventions.sigma_data == 0.7


def test_nothing_is_said_to_have_changed_where_nothing_has(
    old: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    training = start(tmp_path / "run", old, settings(patch_sizes=(32, 16)))
    assert training.origin["changed"] == []
    assert training.conventions == OLD
    assert "its conventions are kept" in caplog.text


def test_data_in_another_unit_bring_their_window(old: Path, tmp_path: Path) -> None:
    data = replace(toy_data(), window=(0.0, 255.0), unit="")
    training = start(tmp_path / "run", old, settings(patch_sizes=(32, 16)), data)
    assert training.origin["changed"] == ["window -1000 to 1000 HU became 0 to 255"]
    assert (training.conventions.window, training.conventions.unit) == ((0.0, 255.0), "")


def test_patch_sizes_that_its_network_or_frame_cannot_take_are_left_out(old: Path, tmp_path: Path) -> None:
    run = settings(patch_sizes=(96, 32, 18, 16), patch_probabilities=(0.3, 0.3, 0.3, 0.1))
    training = start(tmp_path / "run", old, run)
    assert training.settings.patch_sizes == (32, 16)
    assert training.settings.patch_probabilities == (0.3, 0.1)
    assert training.origin["changed"] == ["patch sizes 96, 18 are left out, its network cannot take them"]
    assert {e.patch for e in training} <= {32, 16}
    assert list(start(tmp_path / "run", old, run)) == []  # the settings as given are those of this training
    with pytest.raises(SettingError, match=r"divisible by 4 and of at most 72 px.*but 18, 96 was given"):
        start(tmp_path / "none", old, settings(patch_sizes=(18, 96)))


def test_what_does_not_go_together_is_refused(old: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(
        SettingError, match=r"Images of 32 px were wanted.*these have 40; give --image-size 32"
    ):
        start(folder, old, data=toy_data(40))
    narrow = replace(toy_data(), window=(-200.0, 300.0))
    with pytest.raises(SettingError, match=r"give --window-low -1000 --window-high 1000"):
        start(folder, old, data=narrow)
    colour = replace(toy_data(), images=toy_data().images.repeat(1, 3, 1, 1))
    with pytest.raises(SettingError, match=r"1 channels \(grey\)"):
        start(folder, old, data=colour)


def test_published_priors_are_not_trained_further(tmp_path: Path) -> None:
    network = EdmNetworkSettings(img_resolution=48, model_channels=4, channel_mult=(1, 1), num_blocks=1)
    record = PriorRecord(name="published", network=network, conventions=OLD.model_copy(update={"pad": 8}))
    save_prior(tmp_path / "p.safetensors", record, EdmUNet(network).state_dict())
    with pytest.raises(SettingError, match="is a published one"):
        start(tmp_path / "run", tmp_path / "p.safetensors")


@pytest.mark.parametrize("named", [True, False])
def test_it_resumes_to_the_bit_with_or_without_the_prior(old: Path, tmp_path: Path, named: bool) -> None:
    list(start(tmp_path / "whole", old))
    half = start(tmp_path / "parts", old)
    list(islice(half, 3))
    half.close()
    if not named:
        old.unlink()
    rest = start(tmp_path / "parts", old if named else None)
    assert rest.conventions.sigma_data == 0.42
    assert [e.step for e in rest] == [4, 5, 6, 7, 8]
    assert equal(tensors(tmp_path / "parts"), tensors(tmp_path / "whole"))
    records = [read_record(tmp_path / name / PRIOR_FILE).training for name in ("whole", "parts")]
    assert records[0]["started_from"] == records[1]["started_from"]


def test_a_folder_holds_one_training(old: Path, tmp_path: Path) -> None:
    other = write_prior(tmp_path / "other.safetensors", seed=1)
    start(tmp_path / "run", old).close()
    list(islice(start(tmp_path / "run", old, settings(checkpoint_every=1)), 1))
    with pytest.raises(SettingError, match="the prior that it starts from"):
        start(tmp_path / "run", other)
    run = settings(checkpoint_every=1)
    list(islice(train(toy_data(), tmp_path / "plain", run, TINY_NETWORK, device=CPU, precision="float32"), 1))
    with pytest.raises(SettingError, match="the prior that it starts from"):
        start(tmp_path / "plain", old)


def test_it_learns_from_where_the_other_stopped(tmp_path: Path) -> None:
    def losses(folder: str, steps: int, start_from: Path | None, network: NetworkSettings) -> list[float]:
        run = settings(
            steps=steps, learning_rate=3e-3, warmup=5, pixels=2048, sigma_mean=-0.5, sigma_std=0.6, ema=0.5,
            validate_every=5,
        )  # fmt: skip
        training = train(
            toy_data(), tmp_path / folder, run, network,
            device=CPU, precision="float32", validation=aside(), start_from=start_from,
        )  # fmt: skip
        return [e.validation for e in training if e.validation is not None]

    first = losses("first", 60, None, TINY_NETWORK)
    second = losses("second", 10, tmp_path / "first" / PRIOR_FILE, OTHER_NETWORK)
    assert max(second) < 1.1 * first[-1] < 0.9 * first[0]


def test_data_are_read_as_the_prior_wants_them(old: Path, tmp_path: Path) -> None:
    given = DataSettings(image_size=512, colour="colour", window_low=-3.0, shrink=2.0)
    found = settings_for_prior(given, old)
    assert (found.image_size, found.channels, found.shrink) == (32, 1, 2.0)
    assert (found.window_low, found.window_high) == (-1000.0, 1000.0)
    unitless = write_prior(tmp_path / "photos.safetensors", window=(0.0, 255.0), unit="")
    assert settings_for_prior(given, unitless).window_low == -3.0
