"""Priors that a study trains: the same budget for all, shares within shares, and trainings that go on."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile
from safetensors.torch import load_file

from padis_gui.core.prior.checkpoint import read_record
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import Interrupted, SettingError
from padis_gui.core.studies.request import StudyRequest, load_study, save_study
from padis_gui.core.studies.trained import patches_or_whole, prior_of, train_priors
from padis_gui.core.training.dataset import load_training_data
from padis_gui.core.training.looks import SightSettings
from padis_gui.core.training.plan import TrainingRequest
from padis_gui.core.training.settings import DataSettings
from tests.tiny import TINY_NETWORK
from tests.toy_training import equal, settings
from tests.waiting import interrupted_at

SUBJECTS = 9


@pytest.fixture
def base(tmp_path: Path) -> TrainingRequest:
    pages = np.random.default_rng(0).integers(-1000, 1000, (2 * SUBJECTS, 32, 32), dtype=np.int16)
    tifffile.imwrite(tmp_path / "data.tif", pages, photometric="minisblack")
    rows = "".join(f"{page},S{page // 2}\n" for page in range(2 * SUBJECTS))
    (tmp_path / "data.csv").write_text(f"page,patient\n{rows}")
    return TrainingRequest(
        data=(tmp_path / "data.tif",), network=TINY_NETWORK,
        data_settings=make(DataSettings, {"image_size": 32, "validation": 0}), training=settings(),
        sight=make(SightSettings, {"look_every": 0}), device="cpu", precision="float32",
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_smaller_shares_are_part_of_larger_ones_and_nobody_is_cut_in_two(base, seed: int) -> None:
    data = load_training_data(base.data, base.data_settings, seed=0)
    images = {tuple(image.flatten().tolist()): n for n, image in enumerate(data.images)}
    seen: list[set[int]] = []
    for share in (0.01, 0.1, 0.3, 0.5, 0.9, 1.0):
        part = data.share(share, seed)
        assert len(part.subjects) == max(1, round(share * SUBJECTS))
        pages = {images[tuple(image.flatten().tolist())] for image in part.images}
        assert pages == {page for page in range(2 * SUBJECTS) if page // 2 in {p // 2 for p in pages}}
        assert all(part.images[list(of)].shape[0] == 2 for of in part.subjects)
        seen.append(pages)
    for smaller, larger in pairwise(seen):
        assert smaller <= larger
    assert len({frozenset(data.share(0.3, s).images.flatten().tolist()) for s in range(6)}) > 1


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(base, share: float) -> None:
    with pytest.raises(SettingError):
        patches_or_whole(base.data, (share,), 10, base=base)


def test_all_have_the_same_budget_and_differ_in_what_is_asked(base) -> None:
    found = patches_or_whole(base.data, (0.3, 1.0), 7, base=base)
    assert [each.name for each in found] == ["patches-30", "whole-30", "patches-100", "whole-100"]
    assert {(t.training.training.steps, t.training.training.pixels) for t in found} == {(7, 1024)}
    assert {t.training.training.patch_sizes for t in found if t.name.startswith("whole")} == {(32,)}
    assert [t.training.data_settings.subject_share for t in found] == [0.3, 0.3, 1.0, 1.0]


def test_a_training_that_was_stopped_goes_on_and_one_that_is_done_is_left_alone(base, tmp_path: Path) -> None:
    trainings = patches_or_whole(base.data, (0.5,), 6, base=base)
    straight, folder = tmp_path / "straight", tmp_path / "stopped"
    steps = [(at.name, at.step) for at in train_priors(trainings, straight)]
    assert steps[-1] == ("whole-50", 6)
    with pytest.raises(Interrupted):
        list(train_priors(trainings, folder, interrupted_at(9)))
    list(train_priors(trainings, folder))
    for training in trainings:
        path = prior_of(training, folder)
        assert equal(load_file(path), load_file(prior_of(training, straight)))
        assert read_record(path).training["subjects"] == 4
    before = [prior_of(training, folder).stat().st_mtime_ns for training in trainings]
    again = [(at.name, at.step) for at in train_priors(trainings, folder)]
    assert again == [("patches-50", 6), ("whole-50", 6)]
    assert [prior_of(training, folder).stat().st_mtime_ns for training in trainings] == before


def test_trainings_come_back_from_the_file_of_their_study(base, tmp_path: Path) -> None:
    request = StudyRequest(
        images=base.data, problems=("ct-20",), trainings=patches_or_whole(base.data, (0.3,), 5, base=base)
    )
    save_study(request, tmp_path / "there")
    assert load_study(tmp_path / "there") == request
