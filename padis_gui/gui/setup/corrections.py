"""The corrections of an open scan: toggles, what the data ask for, and the scan before and after beside each other."""

from functools import partial

from PySide6.QtWidgets import QWidget

from padis_gui.core.images.corrections import CorrectionSettings, Proposal
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.settings.declarations import specs
from padis_gui.gui.kit.forms import SettingsForm
from padis_gui.gui.kit.picture_wall import PictureWall, Tile
from padis_gui.gui.kit.widgets import Section, column, muted, push_button, remark, row, small_button
from padis_gui.viewmodels.session.corrections import Comparison, Corrections

_TOGGLES = ("bad_bins", "zingers", "beam_drift", "rings")
_OTHERS = tuple(
    spec.name for spec in specs(ReadingSettings) if spec.name not in CorrectionSettings.model_fields
)
_LABELS = {spec.name: spec.label for spec in specs(ReadingSettings)}
_WALL_HEIGHT = 330


class CorrectionsSection(Section):
    """Seen while a scan is open."""

    def __init__(self, corrections: Corrections) -> None:
        super().__init__("Corrections")
        self._corrections = corrections
        self.found = remark()
        self.proposals = QWidget()
        self._lines = column(self.proposals, spacing=2)
        self.take_all = push_button(
            "Use what is proposed", "Switch on all corrections that this scan asks for",
            lambda: corrections.take(corrections.proposals),
        )  # fmt: skip
        self.form = SettingsForm(ReadingSettings, skip=_OTHERS, basic=_TOGGLES)
        self.form.edited.connect(corrections.set)
        self.compared = remark()
        self.wall = PictureWall()
        self.wall.setFixedHeight(_WALL_HEIGHT)
        for part in (self.found, self.proposals, self.take_all, self.form, self.compared, self.wall):
            self.body.addWidget(part)
        corrections.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is open."""
        image, proposals = self._corrections.image, self._corrections.proposals
        self.setVisible(image is not None)
        if image is None:
            return
        self.form.show_settings(image.reading)
        self._show_proposals(proposals)
        on = [
            name for name in CorrectionSettings.model_fields if getattr(image.reading, name) != _default(name)
        ]
        names = ", ".join(_LABELS[name].lower() for name in on)
        self.brief.setText(names or ("proposed" if proposals else "off"))
        self._show_comparison(self._corrections.comparison)

    def _show_proposals(self, proposals: tuple[Proposal, ...]) -> None:
        while (item := self._lines.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.setParent(None)
                widget.deleteLater()
        for proposal in proposals:
            line, across = QWidget(), row()
            line.setLayout(across)
            said = muted(f"{_LABELS[proposal.name]}: {proposal.found}", wordWrap=True)
            use = small_button(
                "Use", f"Switch on {_LABELS[proposal.name].lower()}",
                partial(self._corrections.take, (proposal,)),
            )  # fmt: skip
            use.setAccessibleName(f"Use {_LABELS[proposal.name].lower()}")
            across.addWidget(said, 1)
            across.addWidget(use)
            self._lines.addWidget(line)
        self.proposals.setVisible(bool(proposals))
        self.take_all.setVisible(len(proposals) > 1)
        self.found.setText("Proposed:" if proposals else "This scan asks for no more corrections.")

    def _show_comparison(self, comparison: Comparison | None) -> None:
        self.wall.setVisible(comparison is not None)
        if comparison is None:
            self.compared.setText("Comparing before and after…")
            self.compared.setVisible(self._corrections.comparing)
            return
        what = "With what is proposed" if comparison.proposed else "With what is on"
        self.compared.setVisible(True)
        self.compared.setText(
            f"{what}, the sinogram changes by {comparison.sinogram_changes:.2%} and the FBP by "
            f"{comparison.image_changes:.2%}."
        )
        tip = "A click shows it alone, and once more all of them. Where pixels are left out, those that change most are shown"
        pairs = (("sinogram", comparison.sinograms), ("FBP", comparison.images))
        columns = [
            [Tile(f"{name} {when}", pictures[number], tip) for name, pictures in pairs]
            for number, when in enumerate(("before", "after"))
        ]
        self.wall.set_groups([columns])


def _default(name: str) -> object:
    return CorrectionSettings.model_fields[name].default
