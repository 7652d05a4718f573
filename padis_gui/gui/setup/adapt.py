"""Whether the prior knows what is open, whether and how the next run adapts it, what is kept of one that was adapted."""

from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QCheckBox, QLabel, QWidget

from padis_gui.core.runs.adapted import SUFFIX, keep_prior
from padis_gui.core.runs.engine import Result, stem_of
from padis_gui.core.runs.inputs import check_run_outputs, inputs_of
from padis_gui.core.solvers.adaptation import AdaptationSettings
from padis_gui.gui.kit.files import choose_to_write
from padis_gui.gui.kit.forms import SettingsForm, show_value
from padis_gui.gui.kit.theme import LEVEL_COLOURS
from padis_gui.gui.kit.widgets import allow, column, push_button, row
from padis_gui.viewmodels.session.prior_fit import PriorQuestion
from padis_gui.viewmodels.session.session import Session

_TIP = (
    "Before the run, a few gradient steps on low-rank factors of the network, on this measurement; views kept aside "
    "decide whether they stay. The prior's own file is never changed"
)
_CHECK = "Check the prior"
_CHECK_TIP = (
    "Keep a tenth of the measurement aside, and compare how well the prior and total variation explain it from the rest: "
    "about the time of a run with each"
)
_KINDS = f"Priors (*{SUFFIX})"


class AdaptChoice(QWidget):
    """A toggle beside Run, off at first, with its settings folded below; *Check the prior* and what came of it; *Keep as a
    prior…* where the shown run has one."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.toggle = QCheckBox("Adapt the prior")
        self.toggle.setObjectName("adapt")
        self.toggle.clicked.connect(session.method.set_adapting)
        self.keep = push_button(
            "Keep as a prior…",
            "Write the prior that the shown run has adapted as a prior of its own",
            self._ask,
        )
        self.question = PriorQuestion(session)
        self.check = push_button(_CHECK, _CHECK_TIP, self._check)
        self.answer = QLabel(wordWrap=True)
        self.answer.setAccessibleName("What the prior knows")
        self.form = SettingsForm(AdaptationSettings, basic=())
        self.form.edited.connect(session.method.set_adaptation)
        line, layout = row(), column(self, spacing=2, margins=(8, 6, 8, 0))
        line.addWidget(self.toggle)
        line.addStretch(1)
        line.addWidget(self.check)
        layout.addLayout(line)
        layout.addWidget(self.answer)
        layout.addWidget(self.keep)
        layout.addWidget(self.form)
        for signal in (session.method.changed, session.shown.result_changed):
            signal.connect(self.refresh)
        self.question.changed.connect(self._refresh_question)
        self.refresh()
        self._refresh_question()

    def refresh(self) -> None:
        """Show what is chosen, and whether there is something to adapt or to keep."""
        method, result = self._session.method, self._session.shown.result
        now = method.now
        possible = now.asks_prior and not now.imageless
        self.toggle.setEnabled(possible)
        self.toggle.setToolTip(
            _TIP if possible else "Only where something is measured, and the method asks the prior"
        )
        show_value(self.toggle, method.adapts)
        self.form.setVisible(possible and method.adapts)
        self.form.show_settings(method.adaptation)
        self.keep.setVisible(result is not None and result.adapted is not None)

    def _refresh_question(self) -> None:
        question, asking = self.question, self.question.progress is not None
        self.check.setText(f"Stop ({question.progress:.0%})" if question.progress is not None else _CHECK)
        allow(self.check, "" if asking else question.obstacle)
        answer = question.answer
        self.answer.setVisible(answer is not None)
        if answer is not None:
            self.answer.setText(answer.in_words)
            self.answer.setStyleSheet("" if answer.is_better else f"color: {LEVEL_COLOURS['warning']};")

    def _check(self) -> None:
        if self.question.progress is None:
            self.question.ask()
        else:
            self.question.cancel()

    def _ask(self) -> None:
        result = self._session.shown.result
        if result is not None:
            proposal = f"{stem_of(result.recipe)}_adapted{SUFFIX}"
            choose_to_write(self.window(), "Keep as a prior", _KINDS, proposal, partial(self.write, result))

    def write(self, result: Result, path: Path) -> None:
        """Write the prior of a result in the I/O thread; a message says where."""
        session = self._session

        def write(to: Path) -> str:
            check_run_outputs([*session.inputs(), *inputs_of(result.recipe)], [to])
            return f"The prior {keep_prior(to, result).name} written to {to.name}."

        session.spawn(session.write(path, write))
