"""The Studies page's left column: which question, on which images, and where it goes."""

from collections.abc import Callable, Iterable
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QLabel, QLineEdit, QListWidget, QListWidgetItem, QWidget

from padis_gui.core.files.formats.recognise import readable
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.prior.tiling import TILINGS
from padis_gui.core.runs.presets import PRESETS
from padis_gui.core.solvers.registry import SOLVERS
from padis_gui.core.studies.studies import STUDIES
from padis_gui.gui.kit.files import IMAGES, PRIORS, choose_folder, choose_several_to_open
from padis_gui.gui.kit.forms import ChoiceBox, WholeBox, show_value
from padis_gui.gui.kit.widgets import Section, column, form, labelled, push_button, remark, row
from padis_gui.viewmodels.studies.plan import StudyPlan

_ROWS = 5  # that a list of choices shows at once
_OTHER = "other"
_POSITIONS: dict[str, tuple[bool, ...]] = {
    "Told": (True,), "Not told": (False,), "Both, compared": (True, False),
}  # fmt: skip


class TickList(QListWidget):
    """Choices of which any number are ticked; ``chosen`` hears of the user's."""

    def __init__(
        self,
        name: str,
        tip: str,
        choices: Iterable[tuple[str, str, str]],
        chosen: Callable[[tuple[str, ...]], object],
    ) -> None:
        """``choices`` are a label, a name and a tip each."""
        super().__init__()
        self.setAccessibleName(name)
        self.setToolTip(tip)
        self.setUniformItemSizes(True)
        for label, key, what in choices:
            item = QListWidgetItem(label, self)
            item.setData(Qt.ItemDataRole.UserRole, key)
            item.setToolTip(what)
            item.setCheckState(Qt.CheckState.Unchecked)
        self.setFixedHeight(_ROWS * self.sizeHintForRow(0) + 2 * self.frameWidth() + 2)
        self.itemChanged.connect(lambda _item: chosen(self.ticked))

    @property
    def ticked(self) -> tuple[str, ...]:
        """The names of what is ticked, in the order of the list."""
        items = (self.item(index) for index in range(self.count()))
        return tuple(
            item.data(Qt.ItemDataRole.UserRole)
            for item in items
            if item.checkState() is Qt.CheckState.Checked
        )

    def show_ticked(self, names: tuple[str, ...]) -> None:
        """Tick these."""
        with QSignalBlocker(self):
            for index in range(self.count()):
                item = self.item(index)
                ticked = item.data(Qt.ItemDataRole.UserRole) in names
                item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)


class QuestionSection(Section):
    """What is asked, and how much of it; ``own_wanted`` when it is to be one's own."""

    own_wanted = Signal()

    def __init__(self, plan: StudyPlan) -> None:
        super().__init__("Question")
        self._plan = plan
        self.study, self.budget = ChoiceBox(), ChoiceBox()
        for study in STUDIES:
            self.study.offer(study.name, study.name, study.question)
        self.study.offer("your own", "", "Choose problems, methods and values below")
        self.study.explain_choices()
        self.study.activated.connect(self._study_chosen)
        self.budget.offer("trial", "trial", "Five images, one seed, a few values")
        self.budget.offer("full", "full", "All images, three seeds, all values")
        self.budget.activated.connect(lambda at: plan.set_budget(self.budget.itemData(at)))
        self.question = QLabel(wordWrap=True)
        rows = form()
        labelled(rows, "Study", self.study, "A question that is built in, or your own")
        labelled(rows, "Budget", self.budget, "How much of it is run")
        self.learn = push_button(
            "Learn from…", "The images that the priors of this study learn from: files, of any number of pages",
            lambda: choose_several_to_open(
                self, "Images to learn from", IMAGES, lambda paths: plan.learn_from(tuple(paths))
            ),
        )  # fmt: skip
        self.learned = remark()
        self.body.addLayout(rows)
        self.body.addWidget(self.question)
        self.body.addWidget(self.learn)
        self.body.addWidget(self.learned)
        plan.changed.connect(self.refresh)
        self.refresh()

    def _study_chosen(self, index: int) -> None:
        self._plan.choose_study(self.study.itemData(index) or None)
        if self._plan.study is None:
            self.own_wanted.emit()

    def refresh(self) -> None:
        """Show what is chosen."""
        plan = self._plan
        show_value(self.study, plan.study or "")
        show_value(self.budget, plan.budget)
        self.budget.setEnabled(plan.study is not None)
        self.question.setText(plan.request.question or "Your own question: what is ticked and typed below.")
        for widget in (self.learn, self.learned):
            widget.setVisible(plan.trains)
        names = ", ".join(path.name for path in plan.train_on[:3])
        trainings = plan.request.trainings
        steps = trainings[0].training.training.steps if trainings else 0
        self.learned.setText(
            f"{len(trainings)} trainings of {steps:,} steps each on {names}" if trainings
            else "Its priors are trained first, on patches and on whole images."
        )  # fmt: skip
        self.brief.setText(plan.study or plan.name)


class ImagesSection(Section):
    """On which images."""

    def __init__(self, plan: StudyPlan) -> None:
        super().__init__("Images")
        self._plan = plan
        self.name, self.details = QLabel("None chosen yet", wordWrap=True), remark()
        self.files = push_button(
            "Choose &images…", f"{readable()}; every page counts. Or drop files on this page",
            lambda: choose_several_to_open(
                self, "Images of the study", IMAGES, lambda paths: plan.choose_images(tuple(paths))
            ),
        )  # fmt: skip
        self.open = push_button(
            "The &open one", "Every page of the image that is open for reconstruction", plan.choose_open_image
        )
        buttons = row()
        buttons.addWidget(self.files, 1)
        buttons.addWidget(self.open, 1)
        self.most = WholeBox(0, 1_000_000)
        self.most.setSpecialValueText("all")
        self.most.valueChanged.connect(lambda value: plan.set("most_images", value))
        rows = form()
        labelled(rows, "First images", self.most, "How many of them count, from the first; 0 for all")
        self.body.addWidget(self.name)
        self.body.addWidget(self.details)
        self.body.addLayout(buttons)
        self.body.addLayout(rows)
        plan.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is chosen."""
        plan, files = self._plan, self._plan.request.images
        self.open.setEnabled(plan.open_image is not None)
        with QSignalBlocker(self.most):
            self.most.setValue(plan.request.most_images)
        if not files:
            self.details.setText("Images that nobody measured: methods are compared with the truth.")
            return
        more = len(files) - 1
        self.name.setText(files[0].name if not more else f"{files[0].name} and {more} more")
        self.name.setToolTip("\n".join(str(file) for file in files[:20]))
        self.brief.setText(self.name.text())
        count = len(plan.images)
        self.details.setText("Reading…" if plan.reading else f"{count} image{'s' * (count != 1)}")


class MethodsSection(Section):
    """What is tried: every combination of it."""

    def __init__(self, plan: StudyPlan) -> None:
        super().__init__("Tried")
        self._plan = plan
        measured = [p for p in PRESETS if not find_physics(p.physics).imageless]
        self.problems = TickList(
            "Problems", "Each is simulated from every image",
            [(p.label, p.name, p.summary) for p in measured], lambda names: plan.set("problems", names),
        )  # fmt: skip
        self.solvers = TickList(
            "Solvers", "None ticked: that of each problem's preset",
            [(s.label, s.name, s.summary) for s in SOLVERS], lambda names: plan.set("solvers", names),
        )  # fmt: skip
        self.tilings = TickList(
            "Tilings", "How patches cover the image",
            [(t.label, t.name, t.summary) for t in TILINGS], lambda names: plan.set("tilings", names),
        )  # fmt: skip
        self.varied = QLineEdit(placeholderText="views=8,20; sigma_max=0.1,0.3")
        self.varied.editingFinished.connect(self._varied_typed)
        self.positions = ChoiceBox()
        for label, value in _POSITIONS.items():
            self.positions.addItem(label, value)
        self.positions.activated.connect(lambda at: plan.set("positions", self.positions.itemData(at)))
        self.seeds = WholeBox(1, 1000)
        self.seeds.valueChanged.connect(lambda count: plan.set("seeds", tuple(range(1, count + 1))))
        self.prior = ChoiceBox()
        self.prior.activated.connect(self._prior_chosen)
        rows = form()
        for label, editor, tip in (
            ("Problems", self.problems, self.problems.toolTip()),
            ("Solvers", self.solvers, self.solvers.toolTip()),
            ("Vary", self.varied, "Settings of problems, solvers or the tiling, each with the values that it takes"),
            ("Tilings", self.tilings, self.tilings.toolTip()),
            ("Positions", self.positions, "Whether the prior is told where a patch lies"),
            ("Seeds", self.seeds, "How often each is run, with seeds from 1"),
            ("Prior", self.prior, "Which priors are compared"),
        ):  # fmt: skip
            labelled(rows, label, editor, tip)
        self.body.addLayout(rows)
        plan.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is chosen."""
        request = self._plan.request
        self.problems.show_ticked(request.problems)
        self.solvers.show_ticked(request.solvers)
        self.tilings.show_ticked(request.tilings)
        if not self.varied.hasFocus() or not self.varied.isModified():
            self.varied.setText(self._plan.varied_text)
        index = list(_POSITIONS.values()).index(request.positions) if request.positions else -1
        self.positions.setCurrentIndex(index)
        with QSignalBlocker(self.seeds):
            self.seeds.setValue(len(request.seeds))
        self._list_priors(request.priors)
        counts = ((request.problems, "problem"), (request.solvers, "solver"), (request.tilings, "tiling"))
        self.brief.setText(
            ", ".join(f"{len(names)} {what}{'s' * (len(names) > 1)}" for names, what in counts if names)
        )

    def _varied_typed(self) -> None:
        self.varied.setModified(False)
        if self.varied.text() != self._plan.varied_text:
            self._plan.set_varied(self.varied.text())

    def _list_priors(self, chosen: tuple[Path, ...]) -> None:
        self.prior.clear()
        self.prior.offer("Bundled", (), "The bundled prior of the problems")
        current = self._plan.open_prior
        if current is not None:
            self.prior.offer(f"The open one: {current.stem}", (current,), str(current))
        if chosen and chosen != (current,):
            self.prior.offer(", ".join(path.stem for path in chosen), chosen, "\n".join(map(str, chosen)))
        self.prior.insertSeparator(self.prior.count())
        self.prior.offer("Choose files…", _OTHER, "One prior, or several that are compared")
        held = [self.prior.itemData(at) for at in range(self.prior.count())]
        self.prior.setCurrentIndex(next(at for at, paths in enumerate(held) if paths == chosen))

    def _prior_chosen(self, index: int) -> None:
        chosen = self.prior.itemData(index)
        if chosen == _OTHER:
            self.refresh()
            choose_several_to_open(
                self, "Priors to compare", PRIORS, lambda paths: self._plan.set("priors", tuple(paths))
            )
        else:
            self._plan.set("priors", chosen)


class StudyPlaceSection(Section):
    """What it is called, where it goes, and what is kept."""

    def __init__(self, plan: StudyPlan) -> None:
        super().__init__("Name and folder")
        self._plan = plan
        self.name, self.folder = QLineEdit(), QLineEdit(readOnly=True)
        self.name.editingFinished.connect(lambda: plan.set_name(self.name.text()))
        self.pictures = QCheckBox("Keep every picture")
        self.pictures.setToolTip(
            "Each result as a TIFF: the contact sheet shows it, and a click opens its run"
        )
        self.pictures.toggled.connect(lambda kept: plan.set("keeps_pictures", kept))
        self.choose = push_button(
            "Studies are in…", "Keep studies in a folder of your choice",
            lambda: choose_folder(self, "Folder of studies", plan.set_root, plan.root),
        )  # fmt: skip
        rows = form()
        labelled(rows, "Name", self.name, "What the study is called, in the list and in its report")
        labelled(rows, "Folder", self.folder, "Its results, pictures and report go here")
        self.body.addLayout(rows)
        self.body.addWidget(self.pictures)
        line = row()
        line.addWidget(self.choose)
        line.addStretch(1)
        self.body.addLayout(line)
        plan.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is chosen."""
        plan = self._plan
        self.name.setText(plan.name)
        self.folder.setText(str(plan.folder))
        self.folder.setToolTip(str(plan.folder))
        with QSignalBlocker(self.pictures):
            self.pictures.setChecked(plan.request.keeps_pictures)
        self.brief.setText(plan.name)


class StudySetup(QWidget):
    """The sections, in the order of the work."""

    def __init__(self, plan: StudyPlan) -> None:
        super().__init__()
        self.question, self.images = QuestionSection(plan), ImagesSection(plan)
        self.methods, self.place = MethodsSection(plan), StudyPlaceSection(plan)
        self.note = remark("The study under way keeps its settings: these are for the next one.")
        self.note.hide()
        self.methods.fold(plan.study is not None)
        self.question.own_wanted.connect(lambda: self.methods.fold(False))
        sections = column(self, spacing=2, margins=(6, 2, 8, 4))
        sections.addWidget(self.note)
        for section in (self.question, self.images, self.methods, self.place):
            sections.addWidget(section)
        sections.addStretch(1)
