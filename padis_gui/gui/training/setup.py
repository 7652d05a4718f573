"""The Training page's left column: which data, what prior, and where it goes."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import (
    QComboBox,
    QLabel,
    QLineEdit,
    QToolButton,
    QWidget,
)

from padis_gui.core.files.formats.recognise import readable
from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.runs.presets import bundled_priors
from padis_gui.core.training.looks import SightSettings
from padis_gui.core.training.settings import SIZES, DataSettings, TrainingSettings
from padis_gui.gui.kit.files import IMAGES, PRIORS, choose_folder, choose_several_to_open, choose_to_open
from padis_gui.gui.kit.forms import ChoiceBox, SettingsForm, WholeBox, show_value
from padis_gui.gui.kit.theme import icon
from padis_gui.gui.kit.widgets import Section, clock, column, form, labelled, push_button, remark, row
from padis_gui.viewmodels.training.plan import TrainingPlan

_BASIC_DATA = ("image_size", "fit", "colour")
_BASIC_TRAINING = ("learning_rate", "pixels", "seed")


class TrainingDataSection(Section):
    """Which images, and what becomes of them."""

    def __init__(self, plan: TrainingPlan) -> None:
        super().__init__("Images")
        self._plan = plan
        self.name, self.details = QLabel("None chosen yet", wordWrap=True), remark()
        self.folder = push_button(
            "Choose &folder…", "Learn from every image in a folder and the folders in it; or drop it on this page",
            lambda: choose_folder(self, "Folder of training images", lambda folder: plan.choose_data((folder,))),
        )  # fmt: skip
        self.files = push_button(
            "Choose f&iles…", f"{readable()}; or drop files on this page",
            lambda: choose_several_to_open(
                self, "Training images", IMAGES, lambda paths: plan.choose_data(tuple(paths))
            ),
        )  # fmt: skip
        buttons = row()
        buttons.addWidget(self.folder, 1)
        buttons.addWidget(self.files, 1)
        self.form = SettingsForm(DataSettings, basic=_BASIC_DATA)
        self.form.edited.connect(plan.set_data)
        self.body.addWidget(self.name)
        self.body.addWidget(self.details)
        self.body.addLayout(buttons)
        self.body.addWidget(self.form)
        plan.changed.connect(self.refresh)
        plan.data.progressed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is chosen."""
        data, preview = self._plan.data, self._plan.data.preview
        self.form.show_settings(data.settings)
        if not data.sources:
            self.details.setText("A few dozen are enough to begin with.")
            return
        first, more = data.sources[0], len(data.sources) - 1
        self.name.setText(first.name if not more else f"{first.name} and {more} more")
        self.name.setToolTip("\n".join(str(source) for source in data.sources[:20]))
        self.brief.setText(self.name.text())
        if data.loading is not None:
            done, total = data.loading
            self.details.setText(f"Reading {done} of {total}…" if total else "Reading…")
        elif preview is not None:
            left_out = f", {len(preview.skipped)} left out" if preview.skipped else ""
            self.details.setText(f"{preview.images} images{left_out}")
        else:
            self.details.setText("Nothing here can be used.")


class TrainingMethodSection(Section):
    """How large a prior, for how long, from where."""

    def __init__(self, plan: TrainingPlan, open_prior: Callable[[], Path | None]) -> None:
        super().__init__("Prior")
        self._plan, self._open_prior = plan, open_prior
        self._bundled = tuple(bundled_priors())
        self.sizes, self.start = ChoiceBox(), ChoiceBox()
        for size in SIZES:
            self.sizes.offer(size.label, size.name, size.summary)
        self.sizes.setPlaceholderText("Own choice")
        self.sizes.activated.connect(lambda index: plan.set_size(self.sizes.itemData(index)))
        self.start.activated.connect(self._start_chosen)
        self.amount, self.unit = WholeBox(1, 10_000_000), ChoiceBox()
        self.unit.addItem("minutes", "minutes")
        self.unit.addItem("steps", "steps")
        self.amount.valueChanged.connect(self._budget_chosen)
        self.unit.activated.connect(self._unit_chosen)
        self.amount.setAccessibleName("Budget")
        self.unit.setAccessibleName("Unit of the budget")
        for box in (self.amount, self.unit):
            box.setToolTip("How long; stop at any time, and add more later")
        budget = QWidget()
        inner = row(budget)
        inner.addWidget(self.amount, 1)
        inner.addWidget(self.unit)
        self.estimate = remark()
        rows = form()
        labelled(
            rows,
            "Size",
            self.sizes,
            "How large the network is: larger learns more, and takes longer everywhere",
        )
        labelled(
            rows, "Begin with", self.start,
            "A network that knows nothing, or a prior that goes on learning from your images: that is faster where "
            "both are alike",
        )  # fmt: skip
        labelled(rows, "Train for", budget, "How long; stop at any time, and add more later")
        self.training = SettingsForm(TrainingSettings, skip=("steps",), basic=_BASIC_TRAINING)
        self.network = SettingsForm(NetworkSettings, skip=("image_channels",))
        self.sight = SettingsForm(SightSettings)
        self.training.edited.connect(plan.set_training)
        self.network.edited.connect(plan.set_network)
        self.sight.edited.connect(plan.set_sight)
        self.body.addLayout(rows)
        self.body.addWidget(self.estimate)
        self.advanced = []
        for title, editor in (
            ("Training settings", self.training), ("Network settings", self.network), ("Previews", self.sight),
        ):  # fmt: skip
            part = Section(title)
            part.body.addWidget(editor)
            part.fold(True)
            self.advanced.append(part)
            self.body.addWidget(part)
        plan.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is chosen."""
        plan = self._plan
        show_value(self.sizes, plan.size)
        self.sizes.setEnabled(plan.start_from is None)
        self.network.setEnabled(plan.start_from is None)
        show_value(self.unit, plan.budget)
        show_value(self.amount, plan.minutes if plan.budget == "minutes" else plan.steps)
        self.training.show_settings(plan.training)
        self.network.show_settings(plan.network)
        self.sight.show_settings(plan.sight)
        self._list_starts()
        estimate, pace = plan.estimate, plan.estimate.seconds_a_step
        if pace is None:
            self.estimate.setText(f"About {estimate.steps:,} steps; timed as soon as there are images.")
        else:
            length = clock(estimate.steps * pace)
            self.estimate.setText(
                f"{estimate.steps:,} steps of {pace:.2g} s here: {length}, and time for looks"
            )
        self.brief.setText(self.sizes.currentText() or "Own choice")

    def _list_starts(self) -> None:
        plan = self._plan
        choices: list[tuple[str, Path | None]] = [("Nothing: learn from scratch", None)]
        choices += [(f"Bundled: {path.stem}", path) for path in self._bundled]
        current = self._open_prior()
        known = {path for _, path in choices}
        if current is not None and current not in known:
            choices.append((f"The open prior: {current.stem}", current))
        if plan.start_from is not None and plan.start_from not in {path for _, path in choices}:
            choices.append((plan.start_from.name, plan.start_from))
        if [self.start.itemText(i) for i in range(self.start.count() - 2)] != [label for label, _ in choices]:
            self.start.clear()
            for label, path in choices:
                self.start.addItem(label, path)
            self.start.insertSeparator(self.start.count())
            self.start.addItem("Another file…", "file")
        index = next(i for i, (_, path) in enumerate(choices) if path == plan.start_from)
        self.start.setCurrentIndex(index)

    def _start_chosen(self, index: int) -> None:
        chosen = self.start.itemData(index)
        if chosen is None:
            self._plan.start_fresh()
        elif isinstance(chosen, Path):
            self._plan.begin_with(chosen)
        else:
            self.refresh()
            choose_to_open(self, "Prior to go on with", PRIORS, self._plan.begin_with)

    def _budget_chosen(self) -> None:
        self._plan.set_budget(self.unit.currentData(), self.amount.value())

    def _unit_chosen(self) -> None:
        plan, unit = self._plan, self.unit.currentData()
        plan.set_budget(unit, plan.minutes if unit == "minutes" else plan.estimate.steps)


class TrainingPlaceSection(Section):
    """What it is called, and where it goes."""

    def __init__(self, plan: TrainingPlan) -> None:
        super().__init__("Name and folder")
        self._plan = plan
        self.name, self.folder = QLineEdit(), QLineEdit()
        self.name.editingFinished.connect(lambda: plan.set_name(self.name.text()))
        self.folder.setReadOnly(True)
        self.folder.setAccessibleName("Folder")
        self.folder.setToolTip("Where the training goes")
        self.choose = QToolButton()
        self.choose.setIcon(icon("menu"))
        self.choose.setAccessibleName("Choose the training's folder")
        self.choose.setToolTip("Put this training into a folder of your choice")
        self.choose.clicked.connect(
            lambda: choose_folder(self, "Folder for the training", plan.set_folder, plan.root)
        )
        place = QWidget()
        inner = row(place)
        inner.addWidget(self.folder, 1)
        inner.addWidget(self.choose)
        rows = form()
        labelled(
            rows, "Name", self.name, "What the prior is called, in its file and in the list of trainings"
        )
        labelled(rows, "Folder", place, "The prior, its checkpoint, its log and its pictures go here")
        self.body.addLayout(rows)
        plan.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is chosen."""
        self.name.setText(self._plan.name)
        folder = str(self._plan.folder) if self._plan.data.sources else ""
        self.folder.setText(folder)
        self.folder.setToolTip(folder or "Where the training goes")
        self.brief.setText(self._plan.name)


class TrainingSetup(QWidget):
    """The sections, in the order of the work. As narrow as the page likes: long choices are cut."""

    def __init__(self, plan: TrainingPlan, open_prior: Callable[[], Path | None]) -> None:
        super().__init__()
        self.data = TrainingDataSection(plan)
        self.method = TrainingMethodSection(plan, open_prior)
        self.place = TrainingPlaceSection(plan)
        self.note = remark("The training under way keeps its settings: these are for the next one.")
        self.note.hide()
        sections = column(self, spacing=2, margins=(6, 2, 8, 4))
        sections.addWidget(self.note)
        for section in (self.data, self.method, self.place):
            sections.addWidget(section)
        sections.addStretch(1)
        for combo in self.findChildren(QComboBox):
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(7)
