"""Which study is wanted: a question that is built in or one's own, on which images; and what is known of it before."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QObject, Signal

from padis_gui.core.settings.errors import PadisError
from padis_gui.core.settings.outputs import free_folder
from padis_gui.core.settings.untrusted import fault_of
from padis_gui.core.studies.grid import Grid, ImagePage
from padis_gui.core.studies.request import StudyRequest, holds_a_study, images_in
from padis_gui.core.studies.studies import STUDIES, Budget
from padis_gui.core.studies.trained import prior_of
from padis_gui.viewmodels.session.session import Session

DEFAULT_ROOT = Path.home() / "padis_gui" / "studies"
_COUNTED = 1000  # runs, up to which it is said how many there are and not only how many at most
_OWN = "study"  # what one's own question is called


class StudyPlan(QObject):
    """The choices of the next study. Setters keep what was there where a value is bad, and say why."""

    changed = Signal()

    def __init__(self, session: Session, io: ThreadPoolExecutor, root: Path = DEFAULT_ROOT) -> None:
        super().__init__(session)
        self._session, self._io = session, io
        self.root = Path(root)
        self.study: str | None = "tilings"  # None: one's own
        self.budget: Budget = "trial"
        self.images: tuple[ImagePage, ...] = ()  # of the files that were chosen, once they have been read
        self.train_on: tuple[Path, ...] = ()  # what the priors of a study that trains learn from
        self.reading = False
        self._said: tuple[object, tuple[str, str]] | None = None
        self._asked = 0
        self._seed = 1
        self.request = STUDIES.find("tilings").request((), "trial")
        self.name = self.request.title
        self.folder = self._free()

    # What follows from the choices ------------------------------------------------------------------

    def grid(self) -> Grid:
        """The runs; raises :class:`PadisError` for choices that do not go together."""
        wanted = self.wanted()
        return wanted.grid(self.images, tuple(prior_of(each, self.folder) for each in wanted.trainings))

    def wanted(self) -> StudyRequest:
        """The plan as the study's process reads it."""
        return self.request.model_copy(update={"device": str(self._session.prior.device)})

    def obstacle(self) -> str:
        """What stands against a start, in one sentence; empty where nothing does."""
        return self._known()[0]

    def size(self) -> str:
        """How many images, trainings and runs it is, in words; empty where that is not known."""
        return self._known()[1]

    def _known(self) -> tuple[str, str]:
        """Obstacle and size, made out once for the choices as they stand: they are asked for while a study goes on."""
        key = (self.wanted(), self.images, self.reading, self.study)
        if self._said is None or self._said[0] != key:
            obstacle = self._find_obstacle()
            self._said = key, (obstacle, "" if obstacle else self._count())
        return self._said[1]

    def _find_obstacle(self) -> str:
        if not self.request.images:
            return "Choose images first."
        if self.trains and not self.train_on:
            return "Choose what the priors learn from first."
        if self.reading:
            return "The images are being read."
        if not self.images:
            return "Images that can be read were wanted; choose others."
        if not self.request.problems:
            return "Choose a problem at least."
        try:
            return "" if self.grid().most else "There is nothing to be run; choose more."
        except PadisError as error:
            return str(error)

    def _count(self) -> str:
        grid = self.grid()
        trained = f", {len(self.request.trainings)} trainings" if self.request.trainings else ""
        images = f"{len(grid.images)} image{'s' * (len(grid.images) != 1)}"
        if grid.most > _COUNTED:
            return f"{images}{trained}, {grid.most:,} runs at most"
        runs = sum(1 for _ in grid.points())
        return f"{images}{trained}, {runs} run{'s' * (runs != 1)}"

    @property
    def open_image(self) -> Path | None:
        """The file that is open for reconstruction, where methods can be compared with it."""
        data = self._session.data
        return data.path if data.image is not None and data.image.measured is None else None

    @property
    def open_prior(self) -> Path | None:
        """The prior that is open for reconstruction."""
        return self._session.prior.path

    @property
    def trains(self) -> bool:
        """Whether the question is one whose priors are trained by the study."""
        return self.study is not None and STUDIES.find(self.study).trains

    @property
    def varied_text(self) -> str:
        """What is varied as it is typed: ``views=8,20; sigma_max=0.1,0.3``."""
        return "; ".join(f"{name}={','.join(values)}" for name, values in self.request.varied.items())

    # Choices ----------------------------------------------------------------------------------------

    def choose_images(self, files: tuple[Path, ...]) -> None:
        """Compare on these files; they are read in the background."""
        if files:
            self._session.spawn(self.read_images(files))

    def choose_open_image(self) -> None:
        """Compare on every page of the open file."""
        if self.open_image is not None:
            self.choose_images((self.open_image,))

    async def read_images(self, files: tuple[Path, ...]) -> bool:
        """Read every page of these files once; the latest choice wins."""
        self._asked += 1
        asked, self.reading = self._asked, True
        self.request, self.images = self.request.model_copy(update={"images": files, "pages": ()}), ()
        self.changed.emit()
        found = await self._session.attempt(self._io, images_in, files)
        if asked != self._asked:
            return False
        self.reading, self.images = False, found or ()
        self.changed.emit()
        return bool(found)

    def learn_from(self, sources: tuple[Path, ...]) -> None:
        """Train the priors of the study on these files and folders."""
        self.train_on = sources
        if self.study is not None:
            self._fill(self.study)
        self.changed.emit()

    def choose_study(self, name: str | None) -> None:
        """Ask this question; None keeps what is chosen as one's own."""
        self.study = name
        if name is None:
            self.request = self.request.model_copy(update={"title": _OWN, "question": ""})
        else:
            self._fill(name)
        self.set_name(name or _OWN)

    def set_budget(self, budget: Budget) -> None:
        """A trial, or all of it; of a built-in question that is what is tried."""
        self.budget = budget
        if self.study is not None:
            self._fill(self.study)
        self.changed.emit()

    def set(self, name: str, value: Any) -> None:
        """Set a field of the request by hand; the question is one's own then, but for what only says on what and how it
        is run."""
        fields = self.request.model_dump() | {name: value}
        own = name not in ("priors", "keeps_pictures", "most_images", "seeds")
        try:
            request = StudyRequest.model_validate(fields)
        except ValidationError as error:
            self._session.message.emit("error", f"Another value was wanted: {fault_of(error)}.", "")
        else:
            if own and request != self.request:
                self.study = None
                request = request.model_copy(update={"title": self.name, "question": ""})
            self.request = request
        self.changed.emit()

    def set_varied(self, text: str) -> None:
        """Vary what is typed, see :attr:`varied_text`."""
        found: dict[str, tuple[str, ...]] = {}
        for part in filter(str.strip, text.split(";")):
            name, equals, values = part.partition("=")
            if not equals or not name.strip() or name.strip() in found:
                self._session.message.emit(
                    "error", f"Settings with their values were wanted, as in views=8,20; steps=10,20, but "
                    f"{part.strip()[:60]!r} was given; write each setting once, with =.", "",
                )  # fmt: skip
                self.changed.emit()
                return
            found[name.strip()] = tuple(filter(None, (value.strip() for value in values.split(","))))
        self.set("varied", found)

    def set_name(self, name: str) -> None:
        """Call the study so; its folder follows."""
        self.name = name.strip() or _OWN
        if self.study is None:
            self.request = self.request.model_copy(update={"title": self.name[:200]})
        self.propose_folder()
        self.changed.emit()

    def set_root(self, folder: Path) -> None:
        """Keep studies in this folder from now on."""
        self.root = Path(folder)
        self.propose_folder()
        self.changed.emit()

    def propose_folder(self) -> None:
        """A folder of the study's name in which none lies yet."""
        self.folder = self._free()

    def _free(self) -> Path:
        return free_folder(self.root, self.name, holds_a_study)

    def _fill(self, name: str) -> None:
        kept = {key: getattr(self.request, key) for key in ("priors", "keeps_pictures", "pages")}
        self.request = STUDIES.find(name).request(
            self.request.images, self.budget, seed=self._seed, train_on=self.train_on, **kept
        )
