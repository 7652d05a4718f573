"""A set of samples as one entry of the list: mean, deviation, interval, and how well they foretell the error."""

import dataclasses
import math
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import numpy as np
import torch

from padis_gui.core.recipe import measure
from padis_gui.core.uncertainty import LEVEL, calibrate, summarise
from padis_gui.viewmodels.frames import Pixels, Prepared, Result, for_display, grey
from padis_gui.viewmodels.gallery import LazyPicture
from padis_gui.viewmodels.history import History
from padis_gui.viewmodels.runs import RunRecord, thumbnail


def sample_seeds(base: int, count: int) -> list[int]:
    """Different seeds for the samples of one measurement, always the same ones for the same base."""
    rng = torch.Generator().manual_seed(base)
    found: list[int] = []
    while len(found) < count:
        seed = int(torch.randint(0, 10**9, (), generator=rng))
        if seed not in found and seed != base:
            found.append(seed)
    return found


def gather(group: str, members: Sequence[RunRecord], prepared: Prepared | None) -> RunRecord:
    """The record of a set of samples, with ``group`` as its id. ``prepared`` is what they were drawn for.

    Raises :class:`~padis_gui.core.errors.SettingError` for fewer than two.
    """
    results = [result for result in (member.result for member in members) if result is not None]
    nothing = np.empty((0, 1, 1, 1), dtype=np.float32)
    found = summarise(np.stack([result.pixels for result in results]) if results else nothing)
    first = results[0]
    image = dataclasses.replace(first.image, pixels=found.mean)
    metrics: dict[str, float] = {"samples": float(found.count)}
    calibration = None
    if prepared is not None and prepared.problem.operator.image_shape == found.mean.shape:
        low, high = image.window
        mean = torch.from_numpy((found.mean - low) / (high - low)).to(prepared.problem.device)
        metrics |= measure(prepared.problem, mean)
        if prepared.problem.truth is not None:
            calibration = calibrate(found, prepared.image.from_unit(prepared.problem.truth))
    metrics |= {name: value for name, value in members[0].metrics.items() if name.endswith("_baseline")}
    if calibration is not None and math.isfinite(calibration.correlation):
        metrics |= {"correlation": calibration.correlation, "coverage": calibration.coverage}
    recipe = first.recipe.model_copy(update={"sample_seeds": tuple(r.recipe.seed for r in results)})
    alike = all(r.recipe.model_copy(update={"seed": first.recipe.seed}) == first.recipe for r in results)
    note = f"mean, deviation, {LEVEL:.0%} interval"
    if not alike:  # the recipe of a set has one list of live changes
        note += "; some were steered while they ran, so that the set repeats as its first sample went"
    result = Result(
        job=None, recipe=recipe, image=image, deviation=found.deviation, metrics=metrics,
        seconds=sum(member.seconds for member in members),
        evaluations=sum(member.evaluations for member in members), interval=(found.low, found.high),
    )  # fmt: skip
    return RunRecord(
        id=group, name=f"{found.count} samples", recipe=recipe, metrics=metrics, seconds=result.seconds,
        evaluations=result.evaluations, when=datetime.now(UTC), state="Samples", thumbnail=thumbnail(image),
        history=History(0), note=note, calibration=calibration, _result=result,
    )  # fmt: skip


def new_group() -> str:
    """An id for a set of samples."""
    return uuid.uuid4().hex[:12]


def interval_pictures(record: RunRecord | None) -> dict[str, LazyPicture | None]:
    """The interval of a set of samples as pictures by source, each made when somebody looks; None for other runs."""
    keys = ("interval_low", "interval_high", "interval_width")
    if record is None or not record.recipe.sample_seeds:
        return dict.fromkeys(keys)

    def end(which: int) -> Pixels | None:
        result = record.result
        return None if result is None or result.interval is None else for_display(result.interval[which])

    def width() -> Pixels | None:
        low, high = end(0), end(1)
        return None if low is None or high is None else grey(high - low)

    return dict(zip(keys, (partial(end, 0), partial(end, 1), width), strict=True))
