"""Training as an iterator: one :class:`TrainStep` a step, checkpoints on the way, resumable at any moment.

The method is that of PaDIS (arXiv 2406.02462, section 3.2): :mod:`optimise` draws what a step trains on
and makes it, :mod:`state` keeps what it leads to.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from padis_gui.core import torch
from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.prior.prior import Conventions, PatchPrior
from padis_gui.core.settings.errors import CheckpointError, DivergenceError, InputError, SettingError
from padis_gui.core.settings.files import Closing, reason
from padis_gui.core.settings.machine import Precision, peak_memory_mb
from padis_gui.core.settings.outputs import elsewhere
from padis_gui.core.training.dataset import TrainingData
from padis_gui.core.training.optimise import Optimiser, Validation, World, draw_batch, learning_rate
from padis_gui.core.training.plan import REQUEST_FILE, Plan, fresh, further, prior_record, resumed
from padis_gui.core.training.settings import TrainingSettings
from padis_gui.core.training.state import (
    NOISE_BINS,
    PRIOR_FILE,
    STATE_FILE,
    Best,
    State,
    find_state,
    remove_temporary_files,
    save_state,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStep:
    """One optimiser step.

    ``loss`` is that of this step (NaN where the step was left out), ``average`` the running one; ``losses`` the
    running average for each patch size drawn so far, ``levels`` for each noise level (between the edges
    ``NOISE_BINS``; NaN where none was drawn yet). ``validation`` is the loss on the data kept aside, of the best of
    the averaged weights, at steps where it was measured. ``seconds`` counts what was spent in steps since training
    began, ``memory`` is the peak so far in bytes, of the GPU or resident. ``saved``: a checkpoint of this step is on
    disk. ``stopped`` says why training ended early, at its last step.
    """

    step: int
    total: int
    loss: float
    average: float
    patch: int
    patches_seen: int
    learning_rate: float
    seconds: float
    saved: bool
    losses: dict[int, float]
    levels: tuple[float, ...]
    validation: float | None
    stopped: str
    memory: int


__all__ = ["NOISE_BINS", "PRIOR_FILE", "STATE_FILE", "TrainStep", "Training", "learning_rate", "train"]

log = logging.getLogger(__name__)

_MAX_BAD_STEPS = 20


def train(
    data: TrainingData,
    folder: Path,
    settings: TrainingSettings,
    network_settings: NetworkSettings,
    *,
    name: str = "prior",
    device: torch.device,
    precision: Precision,
    validation: TrainingData | None = None,
    start_from: Path | None = None,
    notes: dict[str, Any] | None = None,
    world: World | None = None,
    slice_spacing: float | None = None,
) -> Training:
    """Train a patch prior; ``folder`` receives ``state.safetensors`` (to resume) and ``prior.safetensors``.

    Resumes from ``folder`` where it holds a state; only the number of steps, the decay, further EMA lengths and what
    leaves the weights alone may differ then. ``start_from`` is a prior to train further: its network is taken
    instead of ``network_settings``, and its conventions are kept. ``validation`` holds data of the same kind that
    are not trained on; ``notes`` go into the prior's record. With a ``world`` of several processes all of them call
    this with the same arguments, on their own device, and the first writes. Checkpoints are written atomically, at
    the end and when the iterator is closed too. Raises :class:`SettingError` for contradictions.
    """
    folder, world = Path(folder), world or World(device=device)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"A folder for the training was wanted, but {folder} cannot be made ({error.strerror}); choose another."
        ) from None
    if world.main:
        remove_temporary_files(folder)
    if validation is not None and validation.images.shape[1:] != data.images.shape[1:]:
        raise SettingError(
            f"Validation images of the shape {tuple(data.images.shape[1:])} were wanted, like those trained on, but "
            f"they have {tuple(validation.images.shape[1:])}; read them with the same settings."
        )
    stored = find_state(folder)
    if stored is not None:
        plan = resumed(stored, folder, data, settings, network_settings, start_from)
    elif start_from is not None:
        plan = further(data, settings, start_from, network_settings)
    else:
        plan = fresh(data, settings, network_settings)
    plan, data = plan.grouped(data, slice_spacing)
    if validation is not None:
        _, validation = plan.grouped(validation, slice_spacing)
    state = plan.begin(device)
    if not world.agree(
        f"{state.step} {plan.settings.model_dump_json()} {plan.conventions.model_dump_json()} {plan.origin}"
    ):
        raise SettingError(
            f"One folder and one set of data for all processes was wanted, but they found different ones in {folder}; "
            "put both where every machine sees them."
        )
    return Training(state, plan, data, validation, folder, name, precision, notes or {}, world)


class Training(Closing, Iterator[TrainStep]):
    """A training in progress: each ``next`` makes one step, :meth:`close` saves it as it is between two steps.

    Nothing happens between the steps, so waiting is pausing. ``settings`` are those that are carried out,
    ``conventions`` what the prior will say, ``step`` how many steps are done.
    """

    def __init__(
        self,
        state: State,
        plan: Plan,
        data: TrainingData,
        validation: TrainingData | None,
        folder: Path,
        name: str,
        precision: Precision,
        notes: dict[str, Any],
        world: World,
    ) -> None:
        self._state, self._plan, self._data, self._folder = state, plan, data, folder
        self._name, self._precision, self._notes, self._world = name, precision, notes, world
        self.settings = plan.settings
        self._validation = (
            None if validation is None else Validation(validation, self.settings, self.conventions)
        )
        if validation is None and state.best is not None:  # measured no more, it would stay the best for ever
            state.best, state.stale = None, 0
        self._optimiser = Optimiser(state, self.settings, self.data_sigma, precision, world)
        self._saved_at = state.step
        self._bad_steps = 0
        self._over = False

    @property
    def conventions(self) -> Conventions:
        """What the prior was trained with, and inference must repeat."""
        return self._plan.conventions

    @property
    def data_sigma(self) -> float:
        """sigma_d of the preconditioning, on the [0, 1] scale."""
        return self.conventions.sigma_data

    @property
    def step(self) -> int:
        """How many steps are done."""
        return self._state.step

    @property
    def origin(self) -> dict[str, Any]:
        """The prior that was trained further (name, sha256, steps, and what changed), or nothing."""
        return self._plan.origin

    def prior(self) -> PatchPrior:
        """A copy of the averaged weights as they are now, ready for inference: of the average that is best so far.

        The prior's file differs where validation found earlier weights better.
        """
        network = copy.deepcopy(self._state.network)
        network.zero_grad(set_to_none=True)
        network.load_state_dict(self._state.averages[self._state.chosen])
        network.requires_grad_(False).eval()
        settings = network.settings
        return PatchPrior(
            network=network,
            conventions=self.conventions,
            channels=settings.image_channels,
            downsampling=settings.downsampling,
            device=self._optimiser.device,
            precision=self._precision,
            slices=settings.slices,
            slices_out=settings.slices_out,
        )

    def __iter__(self) -> Self:
        return self

    def close(self) -> None:
        """End the training here and save it, so that it can be resumed; once is enough.

        Raises :class:`CheckpointError` where it cannot be saved.
        """
        if not self._over:
            self._over = True
            if self._saved_at != self._state.step and not self._bad_steps:
                self._save_or_fail()

    def __next__(self) -> TrainStep:
        state, settings = self._state, self.settings
        if self._over or state.step >= settings.steps or self._stopped():
            raise StopIteration
        try:
            return self._next_step()
        except BaseException:
            self._over = True  # an error inside a step leaves the state half done: it must not be saved
            raise

    def _next_step(self) -> TrainStep:
        state, settings = self._state, self.settings
        began = time.perf_counter()
        rate = learning_rate(settings, state.step)
        batch = draw_batch(self._data, settings, self.conventions.frame, state.rng)
        loss = self._optimiser.step(batch, rate)
        state.step += 1
        patch = batch.clean.shape[-1]
        if math.isfinite(loss):
            self._bad_steps = 0
            state.patches_seen += len(batch)
        else:
            self._count_bad_step()
        last = state.step == settings.steps
        validation = None
        if self._validation is not None and (last or state.step % settings.validate_every == 0):
            validation = self._validate(self._validation)
        state.seconds += time.perf_counter() - began
        stopped = self._stopped()
        if (last or stopped) and not self._bad_steps:
            self._save_or_fail()
        elif state.step % settings.checkpoint_every == 0 and not self._bad_steps:
            self._save_or_warn()
        return TrainStep(
            step=state.step,
            total=settings.steps,
            loss=loss,
            average=state.loss_average,
            patch=patch,
            patches_seen=state.patches_seen,
            learning_rate=rate,
            seconds=state.seconds,
            saved=self._saved_at == state.step,
            losses=dict(state.losses),
            levels=tuple(state.levels),
            validation=validation,
            stopped=stopped,
            memory=round(peak_memory_mb(self._optimiser.device) * 2**20),
        )

    def _count_bad_step(self) -> None:
        self._bad_steps += 1
        log.warning("Step %d gave a loss that is not finite; it was left out.", self._state.step)
        if self._bad_steps >= _MAX_BAD_STEPS:
            raise DivergenceError(
                f"The loss has not been finite for {self._bad_steps} steps; the last good checkpoint is "
                "kept, lower the learning rate."
            )

    # -- validation -----------------------------------------------------------------------------------------

    def _validate(self, validation: Validation) -> float:
        state = self._state
        state.validation = validation.measure(state.network, state.averages, self._precision, self._world)
        state.chosen = min(state.validation, key=lambda decay: state.validation[decay])
        loss = state.validation[state.chosen]
        if loss < (math.inf if state.best is None else state.best.loss):
            weights = {key: value.clone() for key, value in state.averages[state.chosen].items()}
            state.best, state.stale = Best(loss, state.step, state.chosen, weights), 0
        else:
            state.stale += 1
        return loss

    def _stopped(self) -> str:
        """Why training ends before its last step; empty where it goes on."""
        state, patience = self._state, self.settings.patience
        if self._validation is None or not patience or state.stale < patience or state.best is None:
            return ""
        return (
            f"no better validation loss in {state.stale} measurements since step {state.best.step} "
            f"({state.best.loss:.4g})"
        )

    # -- saving ---------------------------------------------------------------------------------------------

    def _save(self) -> None:
        if self._world.main:
            self._save_to(self._folder)
        self._saved_at = self._state.step

    def _save_to(self, folder: Path) -> None:
        plan, record = self._plan, prior_record(self._state, self._plan, self._name, self._notes)
        save_state(self._state, folder, plan.given, plan.conventions, plan.origin, record)

    def _save_or_warn(self) -> None:
        """Save on the way: a disk that is full now may have room again at the next checkpoint."""
        try:
            self._save()
        except OSError as error:
            log.warning(
                "The checkpoint of step %d cannot be written to %s (%s); the previous one is kept and training goes on.",
                self._state.step, self._folder, reason(error),
            )  # fmt: skip

    def _save_or_fail(self) -> None:
        """Save at the end: what was learned is not lost for want of room."""
        try:
            self._save()
        except OSError as error:
            kept = self._save_elsewhere()
            where = f"it is kept in {kept}, resume from there" if kept else (
                "the previous one is kept, make room and resume from it"
            )  # fmt: skip
            raise CheckpointError(
                f"The checkpoint of step {self._state.step} cannot be written to {self._folder} ({reason(error)}); {where}."
            ) from None

    def _save_elsewhere(self) -> Path | None:
        """A folder that takes the checkpoint, with the request beside it; None where there is none."""
        for folder in elsewhere(self._folder):
            try:
                folder.mkdir()
                self._save_to(folder)
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            with contextlib.suppress(OSError):
                shutil.copy(self._folder / REQUEST_FILE, folder)
            return folder
        return None
