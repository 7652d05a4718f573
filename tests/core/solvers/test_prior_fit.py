"""Whether a prior knows what was measured: one trained on such images does, one that has learnt nothing does not."""

import math
from dataclasses import replace

import pytest
import tifffile
import torch

from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.runs.presets import DEMO_IMAGE, bundled_folder, bundled_prior
from padis_gui.core.settings.declarations import branch
from padis_gui.core.settings.errors import Interrupted, SettingError
from padis_gui.core.settings.watch import Watch
from padis_gui.core.solvers.adaptation import misfit_of, parted, used_entries
from padis_gui.core.solvers.prior_fit import PriorFit, prior_fit
from tests.core.solvers.test_adaptation import problem, rng, tiny_prior
from tests.tiny import phantom


@pytest.mark.parametrize(
    "physics", ["ct-parallel", "ct-fan", "deblur", "inpainting", "super-resolution", "denoising"]
)
def test_every_measurement_can_be_asked_about_and_answers_the_same_again(physics: str) -> None:
    settings: dict[str, object] = {"views": 8} if physics.startswith("ct") else {"noise": 0.01}
    asked = problem(phantom(64), physics, **settings)
    found = [prior_fit(asked, tiny_prior(), rng()) for _ in range(2)]
    assert found[0] == found[1]
    assert all(math.isfinite(value) and value >= 0 for value in (found[0].prior, found[0].total_variation))


def test_what_decides_is_used_by_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the entries kept aside say, both reconstructions are the same; only what is said of them changes."""
    asked = problem(phantom(64))
    used = used_entries(asked.operator, 0.1, branch(rng()))
    other = replace(asked, measurement=asked.measurement * used + (1 - used) * 7.0)
    seen: list[torch.Tensor] = []

    def keep(of: object, estimate: torch.Tensor) -> float:
        seen.append(estimate)
        return 0.0

    monkeypatch.setattr("padis_gui.core.solvers.prior_fit.misfit_of", keep)
    for each in (asked, other):
        prior_fit(each, tiny_prior(), rng())
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])


def test_a_part_and_its_complement_are_the_whole() -> None:
    asked = problem(phantom(64))
    used = used_entries(asked.operator, 0.1, rng())
    seen, aside = parted(asked, used)
    x = torch.rand(asked.operator.image_shape, generator=rng(1))
    torch.testing.assert_close(seen.operator(x) + aside.operator(x), asked.operator(x))
    assert torch.equal(seen.measurement + aside.measurement, asked.measurement)
    assert misfit_of(aside, phantom(64)[None]) < 1e-5


def test_a_prior_of_such_images_is_told_from_one_that_knows_nothing() -> None:
    path = bundled_prior("ct-parallel", "cpu")
    ct_prior = load_prior(path, torch.device("cpu"), "float32")
    slices = torch.from_numpy(tifffile.imread(bundled_folder() / DEMO_IMAGE).astype("float32"))
    image = torch.nn.functional.avg_pool2d(((slices[1] + 1000) / 2000).clamp(0, 1)[None], 2)[0]
    asked = problem(image, views=16)
    knowing, ignorant = (prior_fit(asked, each, rng()) for each in (ct_prior, tiny_prior()))
    assert knowing.total_variation == ignorant.total_variation
    assert knowing.is_better
    assert not ignorant.is_better
    assert ignorant.ratio > 1.5


def test_the_question_ends_where_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    def check() -> None:
        if told and told[-1] > 0.2:
            raise Interrupted

    with pytest.raises(Interrupted):
        prior_fit(
            problem(phantom(64)), tiny_prior(), rng(), Watch(check, lambda done, stage: told.append(done))
        )
    assert told == sorted(told)
    assert told[-1] < 0.5


def test_a_single_view_is_refused() -> None:
    with pytest.raises(SettingError, match="kept aside"):
        prior_fit(problem(phantom(64), views=1), tiny_prior(), rng())


@pytest.mark.parametrize(
    ("prior", "better", "said"),
    [(0.01, True, "better than"), (0.02, False, "about as well as"), (0.03, False, "worse than")],
)
def test_what_is_said(prior: float, better: bool, said: str) -> None:
    found = PriorFit(prior=prior, total_variation=0.02)
    assert found.is_better is better
    assert said in found.in_words
    assert "0.0200" in found.in_words
