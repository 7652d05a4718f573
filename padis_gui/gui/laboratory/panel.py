"""The boundary laboratory's panel: what the overlay shows, the curves of seams, and the maps for the panes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from padis_gui.core.settings.declarations import specs
from padis_gui.gui.kit.files import SaveButtons
from padis_gui.gui.kit.forms import SettingsForm, WholeBox
from padis_gui.gui.kit.plot import Line, Plot
from padis_gui.gui.kit.theme import CURVE
from padis_gui.gui.kit.widgets import Flow, Section, column, push_button, scrolled, value_cells
from padis_gui.viewmodels.laboratory.export import export
from padis_gui.viewmodels.laboratory.laboratory import Laboratory, OverlaySettings
from padis_gui.viewmodels.laboratory.seam_maps import SOURCES
from padis_gui.viewmodels.session.session import Session

_TRAILS = (0, 3, 10, 20)
_PLOT_HEIGHTS, _SPECTRUM_HEIGHT = (150, 400), 180  # px
_VALUES = {
    "seam_ratio": ("Seam ratio x̂₀", "Steps of the estimate across tile borders over those elsewhere; 1 is no seam"),
    "seam_denoised": ("D", "Seam ratio of the denoised image, before the data step"),
    "disagreement": ("Disagreement", "Root mean square of what two random offsets differ by, of the window"),
}  # fmt: skip
# Of a point the value, and its curve's name and colour
_RATIOS = (("seam_denoised", "D", "#8f7bd8"), ("seam_ratio", "x̂₀", CURVE["seam_ratio"]))
_SPREAD = (("disagreement", "rms of the window", CURVE["ssim"]),)


class LaboratoryPanel(QWidget):
    """``show_source`` puts a map into a pane; ``panes`` is what a saved view shows."""

    def __init__(
        self, session: Session, laboratory: Laboratory, panes: QWidget, show_source: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._session, self._laboratory, self._seen = session, laboratory, False
        content = QWidget()
        self._layout = column(content, spacing=4, margins=(6, 4, 8, 8))
        for section, share in (
            (self._overlay(), 0), (self._maps(show_source), 0), (self._seams(), 1), (self._spectrum(), 0)
        ):  # fmt: skip
            self._layout.addWidget(section, share)
        self.save = SaveButtons(session, "Seam maps", panes, self._export)
        self._layout.addWidget(self.save)
        column(self).addWidget(scrolled(content))
        laboratory.overlay_changed.connect(lambda: self.form.show_settings(laboratory.settings))
        laboratory.measured.connect(self.refresh)
        laboratory.maps_changed.connect(self._show_numbers)
        session.shown.changed.connect(self.refresh)
        session.shown.result_changed.connect(self.refresh)
        self.refresh()

    # Making it ------------------------------------------------------------------------------------

    def _overlay(self) -> Section:
        section = Section("Overlay")
        self.form = SettingsForm(OverlaySettings)
        self.form.show_settings(self._laboratory.settings)
        self.form.edited.connect(self._laboratory.set_overlay)
        section.body.addWidget(self.form)
        return section

    def _seams(self) -> Section:
        section = Section("Seams")
        values, self.values = value_cells(_VALUES)
        self.ratios = Plot(
            "Seam ratio", tip="Seam ratio of D and of x̂₀ over the steps of a run; 1 is no seam"
        )
        self.spread = Plot(
            "Disagreement",
            logarithmic=True,
            tip="What two random offsets differ by, at the steps that were measured",
        )
        self.ratios.set_level(1.0)
        for plot in (self.ratios, self.spread):
            plot.setMinimumHeight(_PLOT_HEIGHTS[0])
            plot.setMaximumHeight(_PLOT_HEIGHTS[1])
            plot.clicked.connect(lambda step: self._session.shown.go_to(round(step)))
        self.measure = push_button(
            "Measure now", "Denoise the shown step's noisy image through two random offsets: two denoiser calls",
            self._laboratory.measure,
        )  # fmt: skip
        self.every = WholeBox(0, 1000, prefix="every ", suffix=" steps")
        self.every.setSpecialValueText("on request only")
        self.every.setAccessibleName("Measure disagreement every so many steps")
        self.every.setToolTip(
            "Measure the disagreement during a run, between its iterates; each time costs two denoiser calls"
        )
        self.every.setValue(self._laboratory.every)
        self.every.valueChanged.connect(self._laboratory.measure_every)
        measuring = Flow()
        measuring.addWidget(self.measure)
        measuring.addWidget(self.every)
        for widget, share in (
            (values, 0),
            (self.ratios, 1),
            (self.spread, 1),
        ):  # curves take the room there is
            section.body.addWidget(widget, share)
        section.body.addLayout(measuring)
        return section

    def _spectrum(self) -> Section:
        section = Section("Error by frequency")
        self.spectrum = Plot(
            "Power of the error", logarithmic=True, whole=False,
            tip="Radially averaged power spectrum of x̂₀ minus the truth at the shown step, of images in [0, 1]; left is "
            "coarse, right is fine. White noise of variance v would be level at v",
        )  # fmt: skip
        self.spectrum.set_x_range(0, 0.5)
        self.spectrum.set_labels(bottom="cycles a pixel")
        self.spectrum.setFixedHeight(_SPECTRUM_HEIGHT)
        section.body.addWidget(self.spectrum)
        return section

    def _maps(self, show_source: Callable[[str], None]) -> Section:
        section = Section("Maps")
        buttons = Flow()
        self.show_map: dict[str, QPushButton] = {}
        for source in SOURCES:
            tip = f"{source.help}. Shows it in the framed pane"
            button = push_button(source.label, tip, partial(show_source, source.key))
            buttons.addWidget(button)
            self.show_map[source.key] = button
        section.body.addLayout(buttons)
        return section

    # From the view model --------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the shown run's curves and the shown step's numbers, where somebody can see them."""
        if not self._seen:
            return
        session, laboratory = self._session, self._laboratory
        points = laboratory.points
        steps = [p.step for p in points]
        for plot, curves in ((self.ratios, _RATIOS), (self.spread, _SPREAD)):
            plot.set_x_range(0, max(session.shown.history.total, 1))
            plot.set_marker(session.shown.step)
            plot.set_lines(
                [
                    Line.through_known(name, colour, steps, [getattr(p, key) for p in points])
                    for key, name, colour in curves
                ]
            )
        self._show_numbers()

    def _show_numbers(self) -> None:
        if not self._seen:
            return
        laboratory = self._laboratory
        values = laboratory.values()
        for key, label in self.values.items():
            label.setText(f"{values[key]:.3g}" if key in values else "–")
        found = laboratory.spectrum
        self.spectrum.set_lines(
            [] if found is None else [Line("x̂₀ − truth", CURVE["residual"], found.frequency, found.power)]
        )
        self.measure.setEnabled(laboratory.measurable and not laboratory.measuring)
        self.measure.setText("Measuring…" if laboratory.measuring else "Measure now")
        self.save.tiff.setEnabled(bool(laboratory.maps))

    def _export(self, path: Path) -> None:
        export(self._session, path, self._laboratory.pages())

    def set_seen(self, seen: bool) -> None:
        """Whether somebody can see it: Qt calls a dock visible that lies behind another."""
        self._seen = seen
        self._laboratory.watch(seen)
        self.refresh()


def overlay_menu(laboratory: Laboratory, parent: QWidget) -> QMenu:
    """The overlay's settings as a menu, for the button and the menu bar."""
    menu = QMenu("Tiling &overlay", parent)
    menu.setToolTipsVisible(True)
    trails = QActionGroup(menu)
    actions: dict[str, QAction] = {}
    for spec in specs(OverlaySettings):
        if spec.kind == "bool":
            action = menu.addAction(f"&{spec.label}")
            action.setCheckable(True)
            action.setToolTip(spec.help)
            action.toggled.connect(lambda on, name=spec.name: _set(laboratory, name, on))
            actions[spec.name] = action
    menu.addSeparator()
    for count in _TRAILS:
        action = trails.addAction(f"Trails of &{count} steps" if count else "&No trails")
        action.setCheckable(True)
        action.setToolTip("Draw the tilings of earlier steps too, the older the fainter")
        action.triggered.connect(lambda _checked=False, count=count: _set(laboratory, "trails", count))
        action.setData(count)
    menu.addActions(trails.actions())

    def follow() -> None:
        for name, action in actions.items():
            action.setChecked(bool(getattr(laboratory.settings, name)))
        for action in trails.actions():
            action.setChecked(action.data() == laboratory.settings.trails)

    laboratory.overlay_changed.connect(follow)
    follow()
    return menu


def _set(laboratory: Laboratory, name: str, value: object) -> None:
    if getattr(laboratory.settings, name) != value:
        laboratory.set_overlay(name, value)
