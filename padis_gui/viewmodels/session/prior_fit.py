"""Whether the open prior knows what is open: asked for, computed while no run goes on, and told in one sentence."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from padis_gui.core.runs.opened import Prepared, fit_of_prior
from padis_gui.core.settings.errors import Interrupted
from padis_gui.core.settings.watch import Standing, Watch
from padis_gui.core.solvers.prior_fit import PriorFit
from padis_gui.viewmodels.session.workspace import Workspace
from padis_gui.viewmodels.state.background import Failure

_KIND = "fit of the prior"


class PriorQuestion(QObject):
    """The question and its answer. Both are about what is prepared: as soon as that changes they are gone.

    A run has precedence: it ends the question, which can be asked again when it has ended.
    """

    changed = Signal()
    _went_on = Signal(object)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self.answer: PriorFit | None = None
        self.progress: float | None = None  # while it is being asked
        self._asked: Prepared | None = None  # what the question and the answer are about
        self._went_on.connect(self._take_progress)
        workspace.preparation.changed.connect(self._follow)
        workspace.occupied_changed.connect(self._follow)

    @property
    def obstacle(self) -> str:
        """Why it can't be asked now; empty where it can."""
        workspace, method = self._workspace, self._workspace.method.now
        if method.imageless:
            return "Nothing is measured, which the prior could explain"
        if workspace.occupied_by:
            return f"{workspace.occupied_by} is under way; ask when it has ended"
        if workspace.volume.on:
            return "The question is about one slice; choose Slice in the data section"
        if workspace.preparation.prepared is None:
            return "What is open has not been measured yet"
        return ""

    def ask(self) -> None:
        """Ask it of what is prepared now."""
        prepared, workspace = self._workspace.preparation.prepared, self._workspace
        if prepared is None or self.obstacle or self.progress is not None:
            return
        self._asked, self.answer, self.progress = prepared, None, 0.0

        def work(check: Callable[[], None]) -> PriorFit:
            standing = Standing()

            def give_way() -> None:
                check()
                if self._asked is not prepared or workspace.run.active:
                    raise Interrupted

            def tell(done: float, stage: str) -> None:
                if standing.tell(done, stage):
                    self._went_on.emit(done)

            return fit_of_prior(prepared, Watch(give_way, tell))

        workspace.compute_requests.ask(_KIND, work, lambda found: self._take(prepared, found))
        self.changed.emit()

    def cancel(self) -> None:
        """Ask no more, and forget what was answered."""
        self._asked, self.answer, self.progress = None, None, None
        self._workspace.compute_requests.forget(_KIND)
        self.changed.emit()

    def _take(self, prepared: Prepared, found: PriorFit | Failure | None) -> None:
        if self._asked is not prepared:
            return
        self.progress = None
        if isinstance(found, Failure):
            self._workspace.message.emit("error", found.sentence, found.details)
        else:
            self.answer = found
        self.changed.emit()

    def _take_progress(self, done: float) -> None:
        if self.progress is not None:
            self.progress = done
            self.changed.emit()

    def _follow(self) -> None:
        prepared = self._workspace.preparation.prepared
        if self._asked is not None and self._asked is not prepared:
            self.cancel()
        else:
            self.changed.emit()
