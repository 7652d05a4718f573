"""A search over a solver's settings on given images, with others held out: Bayesian, by tree-structured Parzen estimators
(Bergstra et al., NeurIPS 2011) as optuna has them.

Every evaluation is a point of a grid in a file of results, so that a search that was stopped goes on to the same numbers:
with the same seed and the same results it asks for the same settings. What it found is worth what the images say that it
has not seen.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.presets import Preset
from padis_gui.core.settings.declarations import Settings, SettingSpec, make, specs
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.solvers.registry import find_solver
from padis_gui.core.studies.experiment import GridResult, PointRunner
from padis_gui.core.studies.grid import GridPoint, ImagePage
from padis_gui.core.studies.table import Row, summarise

if TYPE_CHECKING:
    import optuna

MOST_TRIALS = 10_000
_ROUND = 5.0  # a setting is looked for between a fifth and five times its default
_DIGITS = 4  # of what is tried: more say nothing
_METRIC = "psnr"
_BEFORE, _FOUND = "before", "found"
_ALWAYS_WHOLE = 5  # trials before any is given up early


@dataclass(frozen=True, slots=True)
class Span:
    """Where a number is looked for; in its logarithm where the ends are positive and a decade apart or so."""

    low: float
    high: float

    @property
    def logarithmic(self) -> bool:
        return self.low > 0 and self.high >= 5 * self.low


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What is searched: settings of a preset's solver, or of another ``solver``, by the mean PSNR on ``images``.

    ``spans`` are the numbers looked for and ``choices`` the values tried; the first of ``trials`` are the settings as they
    are. ``held_out`` are images that the search never sees.
    """

    images: tuple[ImagePage, ...]
    held_out: tuple[ImagePage, ...]
    preset: Preset
    solver: str
    prior: Path
    spans: Mapping[str, Span] = field(default_factory=dict)
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    trials: int = 40
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.images:
            raise SettingError("Images to tune on were wanted, but there are none; name some.")
        if not 1 <= self.trials <= MOST_TRIALS:
            raise SettingError(
                f"1 to {MOST_TRIALS} trials were wanted, but {self.trials} was given; use a number in that range."
            )
        if not (self.spans or self.choices):
            raise SettingError(
                "Settings to tune were wanted, but there are none; name some, as in sigma_max=0.1..3."
            )
        for values in self.corners:  # a range that the solver cannot have is said before anything is computed
            make(self._type, self.before.model_dump() | values)

    @property
    def _type(self) -> type[Settings]:
        return find_solver(self.solver).settings_type

    @property
    def corners(self) -> Iterator[dict[str, Any]]:
        """Each end of each range, and each choice, by itself."""
        for name, span in self.spans.items():
            for value in (span.low, span.high):
                yield {name: _end(self._type, name, value)}
        for name, values in self.choices.items():
            yield from ({name: value} for value in values)

    @property
    def before(self) -> Settings:
        """The settings as they are."""
        return self.preset.solver_settings(self.solver)

    def point(self, image: ImagePage, settings: Settings, name: str) -> GridPoint:
        """The run of these settings on an image; ``name`` tells them apart in a table."""
        method = Method.of(
            physics=self.preset.physics, problem=self.preset.problem_settings().model_dump(), solver=self.solver,
            settings=settings.model_dump(),
        )  # fmt: skip
        return GridPoint(
            data=image[0],
            page=image[1],
            problem=self.preset.name,
            method=method,
            prior=self.prior,
            seed=self.seed,
            varied=(("settings", name),),
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """What settings came to: mean PSNR in dB over the images that they were tried on, NaN where a run failed.

    ``given_up`` where the first images said enough. ``changes`` are the settings that were searched.
    """

    number: int
    changes: dict[str, Any]
    psnr: float
    images: int
    given_up: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Tuned:
    """The end: the best settings, and two tables of rows, before and found, on the images tuned on and held out."""

    changes: dict[str, Any]
    settings: Settings
    tuned_on: list[Row]
    held_out: list[Row]

    def gain(self, *, held_out: bool) -> float:
        """PSNR found against before in dB; NaN where there are no such images, or nothing better was found."""
        rows = self.held_out if held_out else self.tuned_on
        return next((row.difference.mean for row in rows if row.difference is not None), math.nan)


def split(images: tuple[ImagePage, ...], share: float) -> tuple[tuple[ImagePage, ...], tuple[ImagePage, ...]]:
    """Those to tune on, and the last ones that are held out; one at least remains.

    Neighbours in a stack are alike: what is held out is one stretch, not every third slice.
    """
    if not 0 <= share < 1:
        raise SettingError(
            f"A share from 0 to less than 1 was wanted, but {share:g} was given; use 0.33 for a third."
        )
    count = min(round(share * len(images)), max(0, len(images) - 1))
    return images[: len(images) - count], images[len(images) - count :]


def _specs(kind: type[Settings]) -> dict[str, SettingSpec]:
    return {spec.name: spec for spec in specs(kind)}


def usual_spans(before: Settings) -> dict[str, Span]:
    """Round the settings as they are, those numbers of a solver that are worth a search: neither what its time depends on
    nor what is only for experts."""
    found = {}
    for spec in specs(type(before)):
        value = getattr(before, spec.name)
        if spec.kind != "float" or spec.advanced or not value or not spec.applies(before):
            continue
        low, high = sorted((value / _ROUND, value * _ROUND))
        found[spec.name] = Span(
            low if spec.minimum is None else max(low, spec.minimum),
            high if spec.maximum is None else min(high, spec.maximum),
        )
    return found


def searched(
    texts: Mapping[str, str], solver: str, before: Settings
) -> tuple[dict[str, Span], dict[str, tuple[Any, ...]]]:
    """Ranges as they are typed, ``0.1..3`` for a number and ``a,b`` for one of several; raises :class:`SettingError`."""
    known = _specs(type(before))
    spans: dict[str, Span] = {}
    choices: dict[str, tuple[Any, ...]] = {}
    for name, text in texts.items():
        spec = known.get(name.replace("-", "_"))
        if spec is None:
            raise SettingError(
                f"A setting of {solver} was wanted, but {name[:60]!r} was given; it has {', '.join(known)}."
            )
        first, dots, last = text.partition("..")
        if not dots:
            values = tuple(part.strip() for part in text.split(",") if part.strip())
            choices[spec.name] = tuple(
                getattr(make(type(before), before.model_dump() | {spec.name: value}), spec.name)
                for value in values
            )
            if len(set(choices[spec.name])) < 2:
                raise SettingError(f"Several values of {spec.name} were wanted, but {text[:60]!r} was given.")
            continue
        try:
            span = Span(float(first), float(last))
        except ValueError:
            span = Span(math.nan, math.nan)
        if spec.kind not in ("int", "float") or not -math.inf < span.low < span.high < math.inf:
            raise SettingError(
                f"A range of {spec.name} from low to high was wanted, as in 0.1..3, but {text[:60]!r} was given; values "
                "of other kinds are named one by one, as in a,b."
            )
        spans[spec.name] = span
    return spans, choices


def tune(
    tuning: Tuning,
    open_prior: Callable[[Path], PatchPrior],
    record: Path | None = None,
    *,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Trial | Tuned]:
    """Each trial as it ends, and at last what was found; ``record`` and ``check`` as for
    :func:`~padis_gui.core.studies.experiment.run_grid`.

    Raises :class:`InputError` where optuna is not there, and where no trial succeeded.
    """
    study, types = _study(tuning)
    kind, before = type(tuning.before), tuning.before.model_dump()
    best, changes = -math.inf, dict[str, Any]()
    tables: dict[bool, list[GridResult]] = {False: [], True: []}
    kept: list[GridResult] = []
    with PointRunner(open_prior, record, check=check) as runner:
        for number in range(tuning.trials):
            # the settings as they are come first, also where they lie outside of the ranges
            asked = study.ask(types) if number else None
            tried = {} if asked is None else {name: _whole(kind, name, x) for name, x in asked.params.items()}
            trial, found = _try(tuning, runner, number, tried, asked)
            if asked is not None:
                study.tell(asked, None if trial.error or trial.given_up else trial.psnr, state=_state(trial))
            if number == 0:
                tables[False] = [_named(result, _BEFORE) for result in found]
            if trial.psnr > best and trial.images == len(tuning.images):
                best, changes, kept = trial.psnr, tried, found
            yield trial
        if best == -math.inf:
            raise InputError(
                f"A trial that succeeds was wanted, but none did; the first failed because: {trial.error}"
            )
        tables[False] += [_named(result, _FOUND) for result in kept if changes]
        for name, values in ((_BEFORE, {}), (_FOUND, changes)):
            settings = make(kind, before | values)
            if values or name == _BEFORE:
                found = [runner.required(tuning.point(image, settings, name)) for image in tuning.held_out]
                tables[True] += [_named(result, name) for result in found]
    yield Tuned(changes, make(kind, before | changes), summarise(tables[False]), summarise(tables[True]))


def _study(tuning: Tuning) -> tuple["optuna.Study", dict[str, Any]]:
    """An empty study, and what it may ask for."""
    try:
        import optuna
    except ImportError:
        raise InputError(
            "The library optuna was wanted, but it is not installed; install padis-gui[tune]."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    known = _specs(type(tuning.before))
    types: dict[str, Any] = {}
    for name, span in tuning.spans.items():
        if known[name].kind == "int":
            types[name] = optuna.distributions.IntDistribution(
                round(span.low), round(span.high), log=span.logarithmic and span.low >= 1
            )
        else:
            types[name] = optuna.distributions.FloatDistribution(span.low, span.high, log=span.logarithmic)
    for name, values in tuning.choices.items():
        types[name] = optuna.distributions.CategoricalDistribution(values)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=tuning.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_ALWAYS_WHOLE),
    )  # fmt: skip
    return study, types


def _try(
    tuning: Tuning, runner: PointRunner, number: int, tried: dict[str, Any], asked: "optuna.Trial | None"
) -> tuple[Trial, list[GridResult]]:
    """Image by image, until one fails or what has been seen is worse than most earlier trials were there."""
    try:
        settings = make(type(tuning.before), tuning.before.model_dump() | tried)
    except SettingError as error:  # two that do not go together
        return Trial(number, tried, math.nan, 0, error=str(error)), []
    found: list[GridResult] = []
    given_up = False
    for place, image in enumerate(tuning.images):
        found.append(runner.required(tuning.point(image, settings, str(number))))
        if found[-1].error or not math.isfinite(_mean(found)):
            break
        if asked is not None:
            asked.report(_mean(found), place)
            given_up = place + 1 < len(tuning.images) and asked.should_prune()
            if given_up:
                break
    fault = found[-1].error or ("" if math.isfinite(_mean(found)) else "its PSNR is not finite")
    return Trial(number, tried, math.nan if fault else _mean(found), len(found), given_up, fault), found


def _state(trial: Trial) -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL if trial.error else TrialState.PRUNED if trial.given_up else TrialState.COMPLETE


def _named(result: GridResult, name: str) -> GridResult:
    return replace(result, point=replace(result.point, varied=(("settings", name),)))


def _mean(found: list[GridResult]) -> float:
    return statistics.fmean(result.metrics.get(_METRIC, math.nan) for result in found)


def _whole(kind: type[Settings], name: str, value: Any) -> Any:
    """A number with as many digits as mean something, within its range."""
    if not isinstance(value, float):
        return value
    spec = _specs(kind)[name]
    rounded = float(f"{value:.{_DIGITS}g}")
    low, high = (
        (-math.inf if spec.minimum is None else spec.minimum),
        (math.inf if spec.maximum is None else spec.maximum),
    )
    return min(max(rounded, low), high)


def _end(kind: type[Settings], name: str, value: float) -> Any:
    """An end of a range as the setting takes it."""
    return round(value) if _specs(kind)[name].kind == "int" else value
