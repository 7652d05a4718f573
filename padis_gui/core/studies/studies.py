"""Studies that are built in: each asks one question of the field, as a grid of runs on the images that are given.

The questions are those that the paper leaves open and that its readers ask (arXiv 2406.02462, section 5 and appendix):
whether patches beat whole images where data are few, how much depends on the schedule of noise levels, what positions and
patch sizes are worth, what a random tiling costs against an average over several, and how methods stand missing views,
noise and detectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from padis_gui.core.runs.recipe import check_seed
from padis_gui.core.settings.declarations import Registry
from padis_gui.core.studies.request import StudyRequest
from padis_gui.core.studies.trained import patches_or_whole
from padis_gui.core.training.plan import TrainingRequest

Budget = Literal["trial", "full"]
Values = Mapping[str, tuple[str, ...]]
TRIAL_IMAGES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A question, and the grid that answers it; ``trial`` has the values of a small budget, ``full`` all of them.

    ``problems`` are presets; ``more_solvers`` and ``seeds`` are of the full budget: a trial has one seed, on the first
    images. A setting without values has those that the priors were trained with. One that ``trains`` makes the priors that
    it compares: on patches and on whole images, by the share of the subjects.
    """

    name: str
    question: str
    problems: tuple[str, ...]
    solvers: tuple[str, ...]
    more_solvers: tuple[str, ...] = ()
    trial: Values = field(default_factory=dict)
    full: Values = field(default_factory=dict)
    tilings: tuple[str, ...] = ("random",)
    positions: tuple[bool, ...] = (True,)
    seeds: tuple[int, ...] = (1, 2, 3)
    trains: bool = False

    def request(
        self,
        images: tuple[Path, ...],
        budget: Budget,
        *,
        seed: int = 1,
        train_on: tuple[Path, ...] = (),
        steps: int | None = None,
        base: TrainingRequest | None = None,
        **more: Any,
    ) -> StudyRequest:
        """The study of these files; ``more`` are further fields of the request, such as ``priors``.

        ``train_on``, ``steps`` and ``base`` are for one that trains; see
        :func:`~padis_gui.core.studies.trained.patches_or_whole`.
        """
        full = budget == "full"
        if self.trains and train_on:
            shares, count = ((0.1, 0.3, 1.0), 20_000) if full else ((0.1, 1.0), 1000)
            more["trainings"] = patches_or_whole(
                train_on, shares, count if steps is None else steps, base=base
            )
        return StudyRequest(
            title=self.name, question=self.question, images=images, most_images=0 if full else TRIAL_IMAGES,
            problems=self.problems, solvers=(*self.solvers, *self.more_solvers) if full else self.solvers,
            tilings=self.tilings, positions=self.positions,
            seeds=tuple(check_seed(seed + n) for n in range(len(self.seeds))) if full else (check_seed(seed),),
            varied=dict(self.full if full else self.trial), **more,
        )  # fmt: skip


STUDIES = Registry(
    "study",
    (
        Study(
            name="claim", question="Does a prior of patches beat one of whole images where data are few?",
            problems=("ct-20",), solvers=("fast",), more_solvers=("dds", "padis-dps"), trains=True,
        ),
        Study(
            name="schedule", question="How much depends on the highest and the lowest noise level?",
            problems=("ct-20", "ct-8"), solvers=("fast",), more_solvers=("diffpir", "dds"),
            trial={"sigma_max": ("0.1", "0.3", "1"), "sigma_min": ("0.015",)},
            full={"sigma_max": ("0.1", "0.2", "0.3", "0.5", "1", "3"), "sigma_min": ("0.005", "0.015", "0.05")},
        ),
        Study(
            name="positions", question="What is it worth to tell the prior where a patch lies?",
            problems=("ct-20", "ct-8"), solvers=("fast",), more_solvers=("diffpir", "dds"), positions=(True, False),
        ),
        Study(
            name="patch-size", question="Which patch size is best, and does that depend on positions and problem?",
            problems=("ct-20", "ct-8"), solvers=("fast",), positions=(True, False),
            trial={"patch": ()}, full={"patch": ()},
        ),
        Study(
            name="tilings", question="Random, averaged or blended tilings: what of the difference survives to the end?",
            problems=("ct-20",), solvers=("fast",), more_solvers=("diffpir", "dds"),
            tilings=("random", "low-discrepancy", "average", "window", "fixed"),
            trial={"steps": ("10",)}, full={"steps": ("5", "10", "20", "50")},
        ),
        Study(
            name="measurement", question="How does each method stand missing views and noise?",
            problems=("ct-20",), solvers=("fast", "tv", "baseline"), more_solvers=("diffpir", "sirt"),
            trial={"views": ("8", "20"), "noise": ("0", "0.01")},
            full={
                "views": ("8", "20", "60", "180"), "noise": ("0", "0.005", "0.01", "0.02", "0.05"), "gain": ("0", "0.01"),
            },
        ),
        Study(
            name="detector", question="What do rings and correlated noise of a detector cost each method?",
            problems=("ct-20",), solvers=("fast", "tv", "baseline"), more_solvers=("diffpir", "sirt"),
            trial={"noise": ("0.01",), "gain": ("0", "0.01"), "noise_correlation": ("0", "2")},
            full={
                "views": ("20", "60"), "noise": ("0.01",), "gain": ("0", "0.005", "0.01", "0.02"),
                "noise_correlation": ("0", "1", "2", "4"),
            },
        ),
        Study(
            name="solvers", question="Which solver is best, and what does it cost?",
            problems=("ct-20", "ct-8"),
            solvers=("fast", "quality", "tv", "sirt", "baseline"),
            more_solvers=("diffpir", "dds", "langevin-cg", "daps", "pnp-admm", "red"),
        ),
    ),
)  # fmt: skip
