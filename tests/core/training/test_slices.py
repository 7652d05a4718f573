"""Training across slices: which are neighbours and how far apart, what a batch is, and a prior that begins as another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st

from padis_gui.core.prior.checkpoint import load_prior, read_record
from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.training.dataset import TrainingData, load_training_data
from padis_gui.core.training.log import Looked
from padis_gui.core.training.looks import SightSettings
from padis_gui.core.training.optimise import draw_batch
from padis_gui.core.training.plan import TrainingRequest
from padis_gui.core.training.run import run_training, seconds_a_step
from padis_gui.core.training.series import SliceRun, slice_groups
from padis_gui.core.training.settings import DataSettings
from padis_gui.core.training.train import PRIOR_FILE, train
from tests.tiny import TINY_NETWORK, phantom
from tests.toy_training import CPU, equal, settings, start, tensors
from tests.volumes import write_stack

THREE = make(NetworkSettings, TINY_NETWORK.model_dump() | {"slices": 3})
SIZED = DataSettings(image_size=32, window_low=-1000, window_high=1000, validation=0)


def volume_data(count: int = 6, spacing: float | None = 2.0) -> TrainingData:
    """One subject with a series, and one with a single slice, which no group has."""
    images = torch.stack([phantom(32)[None] * (1 - 0.1 * z) for z in range(count + 1)])
    everyone = (tuple(range(count)), (count,))
    return TrainingData(images, everyone, (-1000.0, 1000.0), "HU", runs=(SliceRun(everyone[0], spacing),))


def written(folder: Path, table: str, pages: int = 9) -> Path:
    path = folder / "slices.tif"
    values = np.stack([phantom(32).numpy() * 2000 - 1000 + z for z in range(pages)]).astype(np.int16)
    tifffile.imwrite(path, values, photometric="minisblack")
    if table:
        path.with_suffix(".csv").write_text(table)
    return path


def test_the_table_says_series_and_distances(tmp_path: Path) -> None:
    """Slices of another series, subject or distance, and those beyond a page that is not named, are no neighbours."""
    rows = [
        *((page, "a", "1", 2.5) for page in range(3)), *((page, "a", "2", 2.5) for page in (3, 4)),
        *((page, "b", "2", 5) for page in (6, 7)), (8, "b", "2", 1.25),
    ]  # fmt: skip
    table = "page,patient,series,slice_thickness_mm\n" + "\n".join(",".join(map(str, row)) for row in rows)
    data = load_training_data(written(tmp_path, table), SIZED)
    assert data.runs == (SliceRun((0, 1, 2), 2.5), SliceRun((3, 4), 2.5), SliceRun((6, 7), 5.0))


def test_a_distance_of_its_own_comes_before_the_thickness(tmp_path: Path) -> None:
    table = "page,patient,spacing_mm,slice_thickness_mm\n" + "\n".join(f"{page},a,3,1" for page in range(9))
    data = load_training_data(written(tmp_path, table), SIZED)
    assert data.runs == (SliceRun(tuple(range(9)), 3.0),)


@pytest.mark.parametrize("distance", ["0", "-1", "nan", "1e9", "thick"])
def test_distances_that_are_none_are_refused(tmp_path: Path, distance: str) -> None:
    table = f"page,patient,spacing_mm\n0,a,{distance}\n1,a,{distance}\n"
    with pytest.raises(InputError, match="Distances of slices"):
        load_training_data(written(tmp_path, table), SIZED)


def test_a_volume_says_its_own_distance(tmp_path: Path) -> None:
    data = load_training_data(write_stack(tmp_path / "stack.tif", 5), SIZED)
    assert data.runs == (SliceRun((0, 1, 2, 3, 4), 2.5),)
    assert load_training_data(tmp_path / "stack.tif", SIZED.model_copy(update={"crops": 2})).runs == ()


@given(st.integers(2, 30), st.sampled_from([2, 3, 5]), st.integers(1, 4), st.sampled_from([1.0, 2.5, 5.0]))
def test_groups_are_slices_at_one_distance(count: int, slices: int, most: int, distance: float) -> None:
    run = SliceRun(tuple(range(100, 100 + count)), distance)
    groups = slice_groups([run], slices, range(1, most + 1), reach=8.0)
    for group in groups:
        step = round(group.spacing / distance)
        assert {abs(a - b) for a, b in zip(group.images, group.images[1:], strict=False)} == {step}
        assert step == 1 or group.spacing <= 8.0
        assert group.middle == group.images[slices // 2]
    once = [group for group in groups if group.spacing == distance]
    assert len(groups) >= len(once)
    assert sorted(group.middle for group in once) == (list(run.images) if count >= slices else [])


def test_a_batch_has_slices_as_channels_and_their_distance() -> None:
    data = volume_data().grouped(3, (1, 2), 10.0)
    assert len(data.subjects) == 1
    assert data.slice_spacings == (2.0, 4.0)
    rng = torch.Generator().manual_seed(0)
    run = settings(pixels=16 * 16 * 400, patch_sizes=(16,), patch_probabilities=(1.0,), flips="both")
    batch = draw_batch(data, run, start_frame(), rng)
    assert batch.clean.shape == batch.noise.shape == (400, 3, 16, 16)
    assert batch.spacing is not None
    found = set((4 * batch.spacing).exp().round(decimals=3).tolist())
    assert found == {2.0, 4.0}
    same = (batch.clean[:, 0] == batch.clean[:, 2]).flatten(1).all(1) & batch.clean.flatten(1).any(1)
    assert 0 < int(same.sum()) < 400
    reflected = (batch.noise[:, 0] == batch.noise[:, 2]).flatten(1).all(1)
    assert bool(reflected[same].all()), "a reflected slice has its noise twice, as in a reconstruction"
    assert not bool((batch.noise[:, 0] == batch.noise[:, 1]).flatten(1).all(1).any())


def start_frame():
    from padis_gui.core.prior.partition import Frame

    return Frame(32, 16)


@pytest.mark.parametrize("out", ["middle", "all"])
def test_it_trains_resumes_to_the_bit_and_its_file_says_what_it_is(tmp_path: Path, out: str) -> None:
    network = make(NetworkSettings, THREE.model_dump() | {"slices_out": out})

    def begin(folder: str, steps: int):
        return train(
            volume_data(), tmp_path / folder, settings(steps=steps), network, device=CPU, precision="float32"
        )

    losses = [step.loss for step in begin("whole", 6)]
    assert np.isfinite(losses).all()
    part = begin("parts", 6)
    for _ in range(3):
        next(part)
    part.close()
    list(begin("parts", 6))
    assert equal(tensors(tmp_path / "whole"), tensors(tmp_path / "parts"))
    record = read_record(tmp_path / "whole" / PRIOR_FILE)
    assert record.conventions.slice_spacings == (2.0, 4.0)
    prior = load_prior(tmp_path / "whole" / PRIOR_FILE, CPU, "float32")
    assert (prior.slices, prior.slices_out) == (3, out)
    with pytest.raises(SettingError, match="other settings"):
        train(
            volume_data(),
            tmp_path / "whole",
            settings(steps=8),
            TINY_NETWORK,
            device=CPU,
            precision="float32",
        )


def test_a_prior_of_single_slices_goes_on_across_them_and_begins_as_it_was(tmp_path: Path) -> None:
    list(start(tmp_path / "single", settings(steps=4)))
    single = tmp_path / "single" / PRIOR_FILE

    def further(folder: str, network: NetworkSettings, begin_with: Path, steps: int = 2):
        return train(
            volume_data(), tmp_path / folder, settings(steps=steps, learning_rate=1e-12), network, device=CPU,
            precision="float32", start_from=begin_with,
        )  # fmt: skip

    training = further("across", THREE, single)
    before, after = load_prior(single, CPU, "float32"), training.prior()
    patches, positions = torch.rand(2, 3, 16, 16), torch.rand(2, 2, 16, 16)
    level = torch.full((2,), -0.3)
    alone = before.network(torch.cat([patches[:, 1:2], positions], 1), level)
    together = after.network(torch.cat([patches, positions], 1), level, torch.full((2,), 0.4))
    assert torch.allclose(alone, together, atol=1e-6)
    assert "slice" in training.origin["changed"][0]
    list(training)
    again = further("again", TINY_NETWORK, tmp_path / "across" / PRIOR_FILE)
    assert again.prior().slices == 3, "what begins across slices stays so"
    five = make(NetworkSettings, THREE.model_dump() | {"slices": 5})
    with pytest.raises(SettingError, match="single slices"):
        further("five", five, tmp_path / "across" / PRIOR_FILE)


def test_what_cannot_be_trained_on_is_said(tmp_path: Path) -> None:
    def begin(data: TrainingData, **more):
        return train(data, tmp_path, settings(), THREE, device=CPU, precision="float32", **more)

    with pytest.raises(InputError, match="neighbouring slices were wanted"):
        begin(replace(volume_data(), runs=()))
    with pytest.raises(InputError, match="distance of neighbouring slices"):
        begin(volume_data(spacing=None))
    assert begin(volume_data(spacing=None), slice_spacing=3.0).conventions.slice_spacings == (3.0, 6.0)
    for wrong in ({"slices": 2}, {"slices": 3, "image_channels": 3}, {"slices": 10}, {"slices": 0}):
        with pytest.raises(SettingError):
            make(NetworkSettings, wrong)
    make(NetworkSettings, {"slices": 2, "slices_out": "all"})


def test_a_whole_training_looks_at_the_middle_slice(tmp_path: Path) -> None:
    request = TrainingRequest(
        data=(write_stack(tmp_path / "stack.tif", 8),), data_settings=SIZED.model_copy(update={"validation": 0.4}),
        training=settings(steps=3, validate_every=3), network=THREE, device="cpu", precision="float32",
        sight=SightSettings(look_every=3, evaluations=2, sample_steps=2, views=8, tensorboard=False),
    )  # fmt: skip
    events = list(run_training(request, tmp_path / "run"))
    looks = [event.look for event in events if isinstance(event, Looked)]
    assert len(looks) == 1
    assert looks[0].denoised.shape == (4, 1, 32, 32)
    assert looks[0].reconstruction is not None
    assert looks[0].reconstruction.shape == (1, 32, 32)


def test_its_pace_can_be_told() -> None:
    assert seconds_a_step(settings(), THREE, 32, CPU, "float32") > 0
