"""Whether the next run adapts the prior to its measurement, how, and what is kept of the prior that a run has adapted."""

from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QCheckBox, QWidget

from padis_gui.core.runs.adapted import SUFFIX, keep_prior
from padis_gui.core.runs.engine import Result, stem_of
from padis_gui.core.runs.inputs import check_run_outputs, inputs_of
from padis_gui.core.solvers.adaptation import AdaptationSettings
from padis_gui.gui.kit.files import choose_to_write
from padis_gui.gui.kit.forms import SettingsForm, show_value
from padis_gui.gui.kit.widgets import column, push_button, row
from padis_gui.viewmodels.session.session import Session

_TIP = (
    "Before the run, a few gradient steps on low-rank factors of the network, on this measurement; views kept aside "
    "decide whether they stay. The prior's own file is never changed"
)
_KINDS = f"Priors (*{SUFFIX})"


class AdaptChoice(QWidget):
    """A toggle beside Run, off at first, with its settings folded below; *Keep as a prior…* where the shown run has one."""

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
        self.form = SettingsForm(AdaptationSettings, basic=())
        self.form.edited.connect(session.method.set_adaptation)
        line, layout = row(), column(self, spacing=2, margins=(8, 6, 8, 0))
        line.addWidget(self.toggle)
        line.addStretch(1)
        line.addWidget(self.keep)
        layout.addLayout(line)
        layout.addWidget(self.form)
        for signal in (session.method.changed, session.shown.result_changed):
            signal.connect(self.refresh)
        self.refresh()

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
