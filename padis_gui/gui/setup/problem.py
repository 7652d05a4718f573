"""The left column after the data, in the order of the work: Problem, Prior, Tiling, Solver."""

from collections.abc import Collection, Iterable
from html import escape
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QInputDialog, QToolButton, QVBoxLayout, QWidget

from padis_gui.core.physics.registry import PHYSICS
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.prior.tiling import TILINGS, TilingSettings
from padis_gui.core.runs.presets import PRESETS, PriorCard, bundled_priors, own_presets, own_priors
from padis_gui.core.settings.declarations import Settings, specs
from padis_gui.core.solvers.registry import SOLVERS
from padis_gui.gui.dialogs.opening import Opening
from padis_gui.gui.kit.focus import order_tabs
from padis_gui.gui.kit.forms import ChoiceBox, SettingsForm, WholeBox, next_if, show_value
from padis_gui.gui.kit.theme import LEVEL_COLOURS, MARKS
from padis_gui.gui.kit.widgets import (
    Mark,
    MarkedLabel,
    Section,
    column,
    form,
    labelled,
    number_text,
    push_button,
    remark,
    row,
)
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.session.volume import volume_prior
from padis_gui.viewmodels.state.preferences import Preferences

_AUTOMATIC_SEED = -1
_NEXT, _NOW = MARKS
_LEGEND = (
    f"<span style='color:{_NOW}'>●</span> acts at the next iterate &nbsp; "
    f"<span style='color:{_NEXT}'>○</span> for the next run"
)
_OTHER = "another"
_NO_PRIOR = "Open a checkpoint, or drop one on the window; a prior knows what images look like"


class _Forms(QWidget):
    """One form for each of several records (physics, solvers), made when it is first shown; the chosen one's is."""

    edited = Signal(str, object)

    def __init__(self, records: Iterable[tuple[str, type[Settings]]]) -> None:
        super().__init__()
        self._types = dict(records)
        self.by_name: dict[str, SettingsForm] = {}
        self._layout = column(self)

    def show_settings(
        self, name: str, settings: Settings, *, running: Settings | None, acting: Collection[str] = ()
    ) -> None:
        """Show this record's form with these values; ``running`` and ``acting`` as :meth:`SettingsForm.set_running`."""
        if name not in self.by_name:
            made = self.by_name[name] = SettingsForm(self._types[name])
            made.edited.connect(self.edited)
            self._layout.addWidget(made)
            if (around := self.parentWidget()) is not None:
                order_tabs(around)  # a form that is made late comes last else
        shown = self.by_name[name]
        for editor in self.by_name.values():
            editor.setVisible(editor is shown)
        shown.show_settings(settings)
        shown.set_running(running, acting)


class ProblemSection(Section):
    """Preset, physics, and the settings of the simulated measurement."""

    def __init__(self, session: Session, tools: dict[str, QAction]) -> None:
        """``tools`` are actions that help with a physics, by its name."""
        super().__init__("Problem")
        self._session, layout = session, self.body
        self.preset, self.physics = ChoiceBox(), ChoiceBox()
        self._chosen = session.method.preset
        self._list_presets()
        for physics in PHYSICS:
            self.physics.offer(physics.label, physics.name, physics.summary)
        self.preset.setPlaceholderText("Own choice")
        self.preset.unfolding.connect(self._list_presets)
        self.preset.activated.connect(
            lambda index: session.spawn(session.choose_preset(self.preset.itemData(index)))
        )
        self.physics.activated.connect(lambda index: session.method.set_physics(self.physics.itemData(index)))
        rows = form()
        labelled(rows, "Preset", self.preset, "A whole problem and solver under one name")
        self._physics_label = labelled(rows, "Physics", self.physics, "What is measured of the image")
        self.forms = _Forms((p.name, p.settings_type) for p in PHYSICS)
        self.forms.edited.connect(session.method.set_problem)
        layout.addLayout(rows)
        layout.addWidget(self.forms)
        self.tools: dict[str, QToolButton] = {}
        for physics_name, action in tools.items():
            button = self.tools[physics_name] = QToolButton()
            button.setDefaultAction(action)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            layout.addWidget(button)
        session.method.changed.connect(self.refresh)
        session.occupied_changed.connect(self.refresh)
        self.refresh()

    @property
    def form(self) -> SettingsForm:
        """The form of the chosen physics."""
        return self.forms.by_name[self._session.method.physics]

    def _list_presets(self) -> None:
        """Those that come with the program, then the user's own, which may be others since."""
        own = own_presets()
        listed = [self.preset.itemData(at) for at in range(self.preset.count())]
        if listed == [*PRESETS.names, *([None] if own else ()), *(preset.name for preset in own)]:
            return
        self.preset.clear()
        for record in PRESETS:
            self.preset.offer(record.label, record.name, record.summary)
        if own:
            self.preset.insertSeparator(self.preset.count())
        for record in own:
            self.preset.offer(record.label, record.name, record.summary)
        show_value(self.preset, self._session.method.preset)

    def refresh(self) -> None:
        """Show the session's choices."""
        session, task = self._session, self._session.running
        if session.method.preset != self._chosen:
            self._chosen = session.method.preset
            if self.preset.findData(self._chosen) < 0:
                self._list_presets()  # one that was saved just now
        other = task is not None and task.method.physics != session.method.physics
        show_value(self.preset, session.method.preset)
        show_value(self.physics, session.method.physics)
        self.brief.setText(self.physics.currentText())
        self.forms.show_settings(
            session.method.physics, session.method.problem,
            running=None if task is None or other else task.method.problem,
        )  # fmt: skip
        self._physics_label.show_mark(next_if(other))
        for name, button in self.tools.items():
            button.setVisible(name == session.method.physics)


def ask_for_preset(parent: QWidget, session: Session) -> None:
    """Ask for a name, and keep problem, solver and settings under it."""
    dialog = QInputDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle("Save as preset")
    dialog.setLabelText(
        "A name of small letters, digits and hyphens for problem, solver and settings as they are.\n"
        "A preset of yours that has this name is replaced."
    )
    dialog.setTextValue("my-preset")
    dialog.textValueSelected.connect(lambda name: session.spawn(session.save_preset(name.strip())))
    dialog.open()


class PriorSection(Section):
    """Which checkpoint is open."""

    def __init__(self, session: Session, opening: Opening, preferences: Preferences) -> None:
        super().__init__("Prior")
        self._session, self._preferences, self._opening, layout = session, preferences, opening, self.body
        self.choice, self.details = ChoiceBox(), remark(_NO_PRIOR)
        self.choice.setPlaceholderText("No prior yet")
        self.choice.activated.connect(lambda i: opening.open_prior(Path(self.choice.itemData(i))))
        self.open = push_button(
            "Open checkpoint…",
            "A prior that padis-gui train wrote (.safetensors) or a published network-snapshot (.pkl);"
            " nothing in it is executed",
            opening.choose_prior,
        )
        self.assumed = remark()
        self.trained_on = WholeBox(8, 4096, suffix=" px")
        self.trained_on.valueChanged.connect(self._reopen)
        rows = self._rows = form()
        labelled(
            rows, "Trained on", self.trained_on,
            "Side of the images that this published snapshot was trained on, without their zero padding; it "
            "gives the position channels their frame",
        )  # fmt: skip
        which = form()
        self._prior_label = labelled(
            which, "Prior", self.choice, "What knows how images look: bundled ones, and those opened lately"
        )
        layout.addLayout(which)
        layout.addWidget(self.details)
        self._make_misfit(layout)
        layout.addWidget(self.open)
        layout.addWidget(self.assumed)
        layout.addLayout(rows)
        self.assumed.hide()
        rows.setRowVisible(self.trained_on, False)
        for signal in (session.prior.changed, session.data.changed, session.method.changed):
            signal.connect(self._show_misfit)
        for signal in (session.prior.changed, session.prior.refused):
            signal.connect(self._refresh_prior)
        for signal in (session.occupied_changed, session.prior.changed):
            signal.connect(self.refresh)
        preferences.recent_changed.connect(self._list_priors)
        self._list_priors()
        self._refresh_prior()
        self._show_misfit()

    def _make_misfit(self, layout: QVBoxLayout) -> None:
        """Says that the prior does not know such images, and offers one that does."""
        self.misfit = remark()
        self.misfit.setObjectName("misfit")
        self.misfit.setStyleSheet(f"color: {LEVEL_COLOURS['warning']};")
        self.better = push_button(
            "Use another prior", "Open the bundled prior that knows images like this one", self._open_better
        )
        for widget in (self.misfit, self.better):
            widget.hide()
            layout.addWidget(widget)

    def _show_misfit(self) -> None:
        session = self._session
        unfit = session.unfit
        better = session.better_priors()
        advice, text = " Train one on such images (Ctrl+3), or open another.", ""
        if better:
            advice = f" {_prior_label(better[0])} knows such images."
            text = f"{_prior_label(better[0])} was better on the scans of objects that were measured."
        if unfit:
            text = f"⚠ {unfit}{advice}"
        self.misfit.setText(text)
        self.misfit.setVisible(bool(text))
        self.better.setVisible(bool(better))
        if better:
            self.better.setText(f"Use {_prior_label(better[0])}")

    def _open_better(self) -> None:
        better = self._session.better_priors()
        if better:
            self._opening.open_prior(better[0])

    def _list_priors(self) -> None:
        """What can be chosen without looking for a file; the open one is always among it."""
        current, offered = self._session.prior.path, bundled_priors()
        others = dict.fromkeys((*own_priors(), *self._preferences.recent("prior")))
        if current is not None:
            others[current] = None
        with QSignalBlocker(self.choice):
            self.choice.clear()
            for path in (*offered, *(path for path in others if path not in offered)):
                card = offered.get(path)
                self.choice.offer(
                    _prior_label(path), str(path), str(path) if card is None else _card_text(card)
                )
            self.choice.setCurrentIndex(-1 if current is None else self.choice.findData(str(current)))

    def _refresh_prior(self) -> None:
        self._list_priors()
        record, path = self._session.prior.record, self._session.prior.path
        if record is None or path is None:
            return
        conventions = record.conventions
        trained = "" if record.steps is None else f"; {record.steps:,} steps"
        self.brief.setText(record.name)
        unit = f" {conventions.unit}" if conventions.unit else ""
        window = f"{number_text(conventions.window[0])} to {number_text(conventions.window[1])}{unit}"
        self.details.setText(f"for {conventions.image_size}² px, {window}{trained}")
        self.details.setToolTip(
            f"Size of the training images, the values that become 0 and 1{', and training steps' if trained else ''}"
        )
        published = record.training.get("source") == "published snapshot"
        assumed = record.training.get("assumed")
        self._rows.setRowVisible(self.trained_on, published)
        show_value(self.trained_on, conventions.image_size)
        self.assumed.setVisible(bool(assumed))
        if isinstance(assumed, list):
            self.assumed.setText(f"The file does not say its {', '.join(map(str, assumed))}: assumed.")
        self.refresh()

    def _reopen(self, size: int) -> None:
        if self._session.prior.path is not None:
            self._session.spawn(self._session.prior.open(self._session.prior.path, size))

    def refresh(self) -> None:
        """Show the session's choices."""
        task = self._session.running
        self._prior_label.show_mark(
            next_if(task is not None and task.opened.prior is not self._session.prior.loaded)
        )


def _prior_label(path: Path) -> str:
    """A training calls its prior "prior" in a folder that has the name."""
    return path.parent.name if path.stem == "prior" else path.stem


def _card_text(card: PriorCard) -> str:
    """A card as a tooltip, wrapped where Qt finds room."""
    rows = "".join(f"<p><b>{escape(heading)}:</b> {escape(text)}</p>" for heading, text in card.lines)
    return f"<p>{escape(card.summary)}</p>{rows}"


class SlicesSection(Section):
    """How the slices of a volume are denoised together: a prior across them beside the prior, and its tiling along z."""

    def __init__(self, session: Session, opening: Opening) -> None:
        super().__init__("Slices")
        self._session = session
        self.choice = ChoiceBox()
        self.choice.activated.connect(self._choose)
        self._opening = opening
        rows = form()
        labelled(
            rows, "Across slices", self.choice,
            "A prior that sees neighbouring slices at once, for high noise levels; below σ_v the prior of single slices "
            "goes on. Without one every slice is what it would be alone",
        )  # fmt: skip
        self.form = SettingsForm(StackSettings, basic=("across_above", "z_tiling"))
        self.form.edited.connect(session.method.set_stack)
        self.body.addLayout(rows)
        self.body.addWidget(self.form)
        for signal in (session.prior.across_changed, session.method.changed, session.volume.changed):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is chosen; nothing while a slice is open."""
        session, prior = self._session, self._session.prior
        self.setVisible(session.volume.on)
        if not session.volume.on:
            return
        with QSignalBlocker(self.choice):
            self.choice.clear()
            self.choice.offer("none", "", "Each slice is denoised by itself")
            bundled = volume_prior()
            for path in dict.fromkeys(each for each in (bundled, prior.across_path) if each is not None):
                self.choice.offer(path.stem, str(path), str(path))
            self.choice.offer("open…", _OTHER, "A prior that padis-gui train --slices wrote")
            at = "" if prior.across_path is None else str(prior.across_path)
            self.choice.setCurrentIndex(self.choice.findData(at))
        self.brief.setText("by themselves" if prior.across is None else f"{prior.across.slices} at once")
        self.form.setVisible(prior.across is not None)
        self.form.show_settings(session.method.stack)

    def _choose(self, index: int) -> None:
        data = str(self.choice.itemData(index))
        if data == _OTHER:
            self.refresh()
            self._opening.choose_across()
        else:
            self._session.spawn(self._session.prior.open_across(Path(data) if data else None))


class TilingSection(Section):
    """Where the patches lie in a denoiser call, and how large they are."""

    def __init__(self, session: Session) -> None:
        super().__init__("Tiling")
        self._session, layout = session, self.body
        self.tiling, self.patch, self.summary = ChoiceBox(), ChoiceBox(), remark()
        for strategy in TILINGS:
            self.tiling.offer(strategy.label, strategy.name, strategy.summary)
        self.tiling.explain_choices()
        tips = {spec.name: spec.tooltip for spec in specs(TilingSettings)}
        self.tiling.activated.connect(
            lambda i: session.method.set_tiling("strategy", self.tiling.itemData(i))
        )
        self.patch.activated.connect(lambda i: session.method.set_tiling("patch", self.patch.itemData(i)))
        self.form = SettingsForm(TilingSettings, skip=("strategy", "patch"))
        self.form.edited.connect(session.method.set_tiling)
        top, below = form(), form()
        self._labels = {
            "strategy": labelled(top, "Tiling", self.tiling, tips["strategy"]),
            "patch": labelled(below, "Patch size P", self.patch, tips["patch"]),
        }
        layout.addLayout(top)
        layout.addWidget(self.summary)
        layout.addLayout(below)
        layout.addWidget(self.form)
        session.prior.changed.connect(self._list_patches)
        for signal in (session.method.changed, session.occupied_changed, session.data.changed):
            signal.connect(self.refresh)
        self._list_patches()

    def _list_patches(self) -> None:
        """The sizes that the open prior knows."""
        record = self._session.prior.record
        if record is not None:
            with QSignalBlocker(self.patch):
                self.patch.clear()
                sizes = sorted(record.conventions.patch_sizes, reverse=True)
                self.patch.addItem(f"automatic ({sizes[0]} px)", None)
                for size in sizes:
                    self.patch.addItem(f"{size} px", size)
        self.refresh()

    def refresh(self) -> None:
        """Show the session's choices."""
        tiling = self._session.method.tiling
        show_value(self.tiling, tiling.strategy)
        self.summary.setText(TILINGS.find(tiling.strategy).summary)
        self.brief.setText(self.tiling.currentText())
        self.form.show_settings(tiling)
        with QSignalBlocker(self.patch):
            sizes = [self.patch.itemData(i) for i in range(self.patch.count())]
            self.patch.setCurrentIndex(sizes.index(tiling.patch) if tiling.patch in sizes else 0)
        task, acts = self._session.running, self._session.steers_tiling
        running = None if task is None else task.method.tiling
        self.form.set_running(running, tuple(self.form.editors) if acts else ())
        for name, label in self._labels.items():
            differs = running is not None and getattr(running, name) != getattr(tiling, name)
            label.show_mark(Mark.NOW if acts else next_if(differs))


class SolverSection(Section):
    """Which solver, its settings, and the seed."""

    def __init__(self, session: Session) -> None:
        super().__init__("Solver")
        self._session, layout = session, self.body
        self.solver = ChoiceBox()
        self.summary = remark()
        for record in sorted(SOLVERS, key=lambda s: not s.diffusion):
            if not record.diffusion and self.solver.findText("") < 0:
                self.solver.insertSeparator(self.solver.count())  # the baselines follow
            self.solver.addItem(record.label, record.name)
        self.editors = _Forms((s.name, s.settings_type) for s in SOLVERS)
        self.editors.edited.connect(session.method.set_solver_setting)
        self.solver.activated.connect(lambda i: session.method.set_solver(self.solver.itemData(i)))
        self.seed = WholeBox(_AUTOMATIC_SEED, 2**31 - 1)
        self.seed.setSpecialValueText("new")
        self.seed.valueChanged.connect(lambda v: session.method.set_seed(None if v == _AUTOMATIC_SEED else v))
        self.keep = push_button(
            "Keep", "Use the last run's seed from now on, to repeat it bit for bit", self._keep_seed
        )
        top, bottom = form(), form()
        self._solver_label = labelled(
            top, "Method", self.solver, "How the prior and the data are brought together"
        )
        seed_row = QWidget()
        inner = row(seed_row)
        inner.addWidget(self.seed, 1)
        inner.addWidget(self.keep)
        self.seed.setAccessibleName("Seed")
        self.seed.setToolTip(
            "Start of every random draw, new at each run unless one is given; the actual one is saved"
        )
        self._seed_label = MarkedLabel("Seed", self.seed)
        bottom.addRow(self._seed_label, seed_row)
        self.seed_of = remark()
        bottom.addRow(self.seed_of)
        layout.addLayout(top)
        layout.addWidget(self.summary)
        layout.addWidget(self.editors)
        layout.addLayout(bottom)
        self.marks = remark()  # what the marks mean, while there are some
        layout.addWidget(self.marks)
        for signal in (
            session.method.changed, session.occupied_changed, session.shown.result_changed, session.data.changed,
            session.prior.changed,
        ):  # fmt: skip
            signal.connect(self.refresh)
        self.refresh()

    @property
    def forms(self) -> dict[str, SettingsForm]:
        return self.editors.by_name

    def _keep_seed(self) -> None:
        if self._session.shown.result is not None:
            self._session.method.set_seed(self._session.shown.result.recipe.seed)

    def refresh(self) -> None:
        """Show the session's choices."""
        session, task = self._session, self._session.running
        record = next(s for s in SOLVERS if s.name == session.method.solver)
        show_value(self.solver, record.name)
        self.brief.setText(record.label)
        self.summary.setText(f"{record.summary} ({record.source})")
        other = task is not None and task.method.solver != record.name
        live = tuple(spec.name for spec in specs(record.settings_type) if spec.live)
        self.editors.show_settings(
            record.name, session.method.settings, running=None if task is None or other else task.method.settings,
            acting=live if session.steers_solver else (),
        )  # fmt: skip
        self._solver_label.show_mark(next_if(other))
        self._seed_label.show_mark(
            next_if(task is not None and session.method.seed not in (None, task.recipe.seed))
        )
        self.marks.setVisible(task is not None)
        acts = session.steers_solver or session.steers_tiling
        self.marks.setText(_LEGEND if acts else "All of this is for the next run.")
        show_value(self.seed, _AUTOMATIC_SEED if session.method.seed is None else session.method.seed)
        self.seed_of.setText(f"The seed of {session.method.seed_of}, until another image is opened")
        self.seed_of.setVisible(bool(session.method.seed_of))
        self.keep.setEnabled(session.shown.result is not None)
