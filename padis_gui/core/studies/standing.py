"""What a study in a folder has come to so far; read again as often as one likes, while another process works on it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from padis_gui.core.studies.experiment import GridResult, picture_of
from padis_gui.core.studies.grid import GridPoint
from padis_gui.core.studies.request import PICTURES, RESULTS_FILE, StudyRequest, load_study, pages_of
from padis_gui.core.studies.results import Results
from padis_gui.core.studies.table import Row, summarise
from padis_gui.core.studies.trained import prior_of


@dataclass(frozen=True)
class Standing:
    """The study, how many runs it has in all, and the results that there are, in the order of its grid."""

    folder: Path
    request: StudyRequest
    total: int
    results: tuple[GridResult, ...] = ()

    @property
    def failed(self) -> int:
        """How many of the results are failures."""
        return sum(bool(result.error) for result in self.results)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be run."""
        return 0 < self.total == len(self.results)

    @cached_property
    def rows(self) -> list[Row]:
        """Means over images and seeds, and paired differences."""
        return summarise(self.results)

    def picture(self, result: GridResult) -> Path | None:
        """The TIFF of a result, where it was kept."""
        path = picture_of(result.point, self.folder / PICTURES)
        return path if path.is_file() else None


class StudyReader:
    """Follows one folder; raises :class:`~padis_gui.core.settings.errors.PadisError` where it holds no study that can be
    read, or one whose images or priors are gone."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.request = load_study(self.folder)
        self._images = pages_of(self.request.images, self.request.pages)
        self._priors = tuple(prior_of(training, self.folder) for training in self.request.trainings)
        self._points: dict[str, GridPoint] = {}
        self._trained: list[Path] | None = None
        self._list()
        self._known = Results(self.folder / RESULTS_FILE, writes=False)

    def _list(self) -> None:
        """The runs, anew when another prior has been trained: a run is known by what its prior holds."""
        trained = [path for path in self._priors if path.is_file()]
        if trained != self._trained:
            self._trained = trained
            self._points = {p.key: p for p in self.request.grid(self._images, self._priors).points()}

    def read(self) -> Standing:
        """The results that are there now."""
        known = self._known
        self._list()
        known.read()
        results = tuple(
            GridResult(point=point, metrics=known.metrics.get(key, {}), error=known.error_of(key))
            for key, point in self._points.items()
            if key in known.metrics or key in known.errors
        )
        return Standing(self.folder, self.request, len(self._points), results)
