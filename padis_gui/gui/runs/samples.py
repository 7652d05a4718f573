"""A set of samples: how well their deviation foretells the error, as a curve and in words."""

import math

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QInputDialog, QLabel, QWidget

from padis_gui.core.images.metrics import LEVEL
from padis_gui.gui.kit.actions import Actions
from padis_gui.gui.kit.plot import Line, Plot
from padis_gui.gui.kit.theme import BASELINE, CURVE
from padis_gui.gui.kit.widgets import clock, column, push_button, row
from padis_gui.viewmodels.pictures.pictures import PictureSet
from padis_gui.viewmodels.pictures.sources import Origin, PaneSource, Scale
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.runs.samples import interval_pictures
from padis_gui.viewmodels.session.session import Session

USUAL, MOST = 8, 200
SOURCES = (
    PaneSource(
        key="interval_low", label=f"Lower end of the {LEVEL:.0%} interval", short="low", origin=Origin.RUN,
        scale=Scale.IMAGE, help="Each pixel's lower quantile over the samples of a set",
    ),
    PaneSource(
        key="interval_high", label=f"Upper end of the {LEVEL:.0%} interval", short="high", origin=Origin.RUN,
        scale=Scale.IMAGE, help="Each pixel's upper quantile over the samples of a set",
    ),
    PaneSource(
        key="interval_width", label=f"Width of the {LEVEL:.0%} interval", short="width", origin=Origin.RUN,
        scale=Scale.MAGNITUDE, help="Upper minus lower end: where the samples disagree",
    ),
)  # fmt: skip


class SamplesPanel(QWidget):
    """Follows the shown run; where it is a set of samples, its interval is also offered to the panes.

    ``panes_wanted`` comes when mean, deviation, interval and error are to be seen side by side.
    """

    panes_wanted = Signal()

    def __init__(self, session: Session, picture_set: PictureSet, act: Actions) -> None:
        super().__init__()
        self._session, self._picture_set = session, picture_set
        self.plot = Plot(
            "Error over deviation", whole=False,
            tip="Pixels in bins by their deviation: the error that ideal samples would have, and the error that there is",
        )  # fmt: skip
        self.plot.setMinimumHeight(120)
        self.words = QLabel(wordWrap=True)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.draw = push_button("Draw samples…", act.samples.toolTip(), act.samples.trigger)
        layout = column(self, spacing=4, margins=(6, 4, 6, 6))
        layout.addWidget(self.words)
        layout.addWidget(self.plot, 1)
        bottom = row()
        self.show_panes = push_button(
            "Show in panes", "Mean, deviation, width of the interval and error in the first four panes",
            self.panes_wanted.emit,
        )  # fmt: skip
        bottom.addWidget(self.draw)
        bottom.addWidget(self.show_panes)
        bottom.addStretch(1)
        layout.addLayout(bottom)
        for source in SOURCES:
            picture_set.register(source)
        session.shown.changed.connect(self.refresh)
        act.samples.enabledChanged.connect(self.draw.setEnabled)
        self.refresh()

    def refresh(self) -> None:
        """Show what is known of the shown run."""
        record = self._session.shown.record
        found = None if record is None else record.calibration
        self._picture_set.set_pictures(interval_pictures(record))
        self.plot.setVisible(found is not None)
        if found is not None:
            ends = [0.0, max(found.predicted)]
            self.plot.set_x_range(*ends)
            self.plot.set_lines(
                [
                    Line("ideal", BASELINE, ends, ends, dashed=True),
                    Line("found", CURVE["psnr"], found.predicted, found.observed, dots=True),
                ]
            )
        self.words.setText(words_of(record))
        self.show_panes.setEnabled(record is not None and bool(record.recipe.sample_seeds))
        unit = "" if record is None or record.result is None else record.result.image.unit
        suffix = f" [{unit}]" if unit else ""
        self.plot.set_labels(bottom=f"error foretold by the deviation{suffix}", left=f"error{suffix}")


def words_of(record: RunRecord | None) -> str:
    """What a set of samples says of itself, in sentences."""
    if record is None or not record.recipe.sample_seeds:
        return (
            "Samples are runs of one measurement that differ in the seed only. Their mean, their deviation and an "
            "interval of each pixel become pictures of one entry in the list of runs."
        )
    count, found = len(record.recipe.sample_seeds), record.calibration
    if found is None:
        return f"{count} samples. There is no truth to compare their deviation with."
    correlation = f"{found.correlation:.2f}" if math.isfinite(found.correlation) else "not known"
    return (
        f"{count} samples. Rank correlation of deviation and error: <b>{correlation}</b>. The {LEVEL:.0%} interval "
        f"holds <b>{found.coverage:.0%}</b> of the truth; of {count} ideal samples it would hold "
        f"{found.expected_coverage:.0%}. Above the dashed line the samples are too sure of themselves."
    )


def ask_for_samples(parent: QWidget, session: Session, seconds: float | None) -> None:
    """Ask how many, and queue them; ``seconds`` is what one run takes, where that is known."""
    dialog = QInputDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle("Draw samples")
    dialog.setInputMode(QInputDialog.InputMode.IntInput)
    dialog.setIntRange(2, MOST)
    dialog.setIntValue(USUAL)

    def say(count: int) -> None:
        cost = "" if seconds is None else f"\nThey take about {clock(count * seconds)}."
        dialog.setLabelText(
            "How many runs of these settings, which differ in the seed only?\n"
            f"They share one measurement, and go one after the other through the queue.{cost}"
        )

    say(USUAL)
    dialog.intValueChanged.connect(say)
    dialog.intValueSelected.connect(session.runner.draw_samples)
    dialog.open()
