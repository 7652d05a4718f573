"""The first parts of the left column: what is open, which page of it, and how it is read; the corrections of a scan."""

from functools import partial

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QWidget

from padis_gui.core.files.formats.recognise import readable
from padis_gui.core.images.corrections import CorrectionSettings, Proposal
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.settings.declarations import specs
from padis_gui.gui.dialogs.opening import Opening
from padis_gui.gui.kit.actions import Actions
from padis_gui.gui.kit.forms import NumberBox, SettingsForm, WholeBox
from padis_gui.gui.kit.picture_wall import PictureWall, Tile
from padis_gui.gui.kit.widgets import (
    Section,
    allow,
    column,
    form,
    labelled,
    muted,
    number_text,
    push_button,
    remark,
    row,
    small_button,
)
from padis_gui.viewmodels.session.pages import SeriesAround
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.session.sizing import Comparison, Corrections

_NO_IMAGE = "Open one, drop a file or a folder on the window, or take the demo (Ctrl+D)"
_OF_SCANS = ("take_views", "angle_from", "angle_to", "binning", "image_size", "field_of_view")
_OF_PICTURES = ("crop", "pixel_binning", "longest_side")
_CORRECTIONS = tuple(CorrectionSettings.model_fields)
_OF_ALL = tuple(spec.name for spec in specs(ReadingSettings) if spec.name not in _OF_SCANS)
_CENTRE_STEP = 0.25  # bins


class DataSection(Section):
    """Which image or measurement is open, and which page of it; of a scan also what is taken of it, and its centre."""

    def __init__(self, session: Session, opening: Opening, act: Actions, size: QWidget) -> None:
        """``size`` says how large the image is, and offers others."""
        super().__init__("Data")
        self._session, self._act = session, act
        self.name, self.details, self.notes = (
            QLabel("No image yet", wordWrap=True),
            remark(_NO_IMAGE),
            remark(),
        )
        self._make_buttons(opening)
        self.reading = SettingsForm(ReadingSettings, skip=_OF_SCANS + _CORRECTIONS, basic=("role",))
        self.scan = SettingsForm(ReadingSettings, skip=_OF_ALL, basic=("take_views",))
        for shown in (self.reading, self.scan):
            shown.edited.connect(lambda name, value: session.spawn(session.data.set_reading({name: value})))
        self._make_centre()
        buttons, pages = row(), row()
        buttons.addWidget(self.open, 1)
        buttons.addWidget(self.folder)
        pages.addWidget(self.page, 1)
        pages.addWidget(self.pages)
        pages.addWidget(self.volume)
        pages.addStretch(0)
        self.series = push_button(
            "Open the whole series", "This slice is one of several in its folder; open all of them as a volume",
            lambda: session.spawn(opening.series.open()),
        )  # fmt: skip
        opening.series.changed.connect(lambda: self._offer_series(opening.series))
        self._offer_series(opening.series)
        self._of_pages = QWidget()
        both = column(self._of_pages, spacing=4)
        both.addLayout(self._make_choice())
        both.addWidget(self._make_range())
        both.addLayout(pages)
        for item in (self.name, self.details, self.notes):
            self.body.addWidget(item)
        self.body.addLayout(buttons)
        for part in (self.series, self._of_pages, size, self.reading, self._of_scan):
            self.body.addWidget(part)
        for signal in (session.data.changed, session.data.refused):
            signal.connect(self.refresh)
        session.volume.changed.connect(self._show_choice)
        session.screen.changed.connect(self._show_choice)
        session.method.changed.connect(self._show_centre)
        session.method.changed.connect(self._show_details)
        session.prior.changed.connect(self._show_details)
        self.refresh()

    def _make_buttons(self, opening: Opening) -> None:
        self.open = push_button(
            "Open image…", f"An image, a volume or a scan: {readable()}",
            opening.choose_image,
        )  # fmt: skip
        self.folder = push_button("Folder…", self._act.open_folder.toolTip(), opening.choose_folder)
        self.page = WholeBox(prefix="page ")
        self.page.setAccessibleName("Page")
        self.page.setToolTip("Page of a multi-page file, slice of a volume, or row of a scan's detector")
        self.page.valueChanged.connect(
            lambda number: self._session.spawn(self._session.data.open_page(number - 1))
        )
        self.pages, self.volume = QToolButton(), QToolButton()
        self.pages.setDefaultAction(self._act.slices)
        self.volume.setDefaultAction(self._act.volume)

    def _make_choice(self) -> QHBoxLayout:
        """Whether one slice is open, or all of them as a volume."""
        self.of_slice, self.of_volume = (self._half(text) for text in ("Slice", "Volume"))
        self.of_slice.setToolTip("One slice, or page, is open: it is seen, and reconstructed, alone")
        self.of_volume.setToolTip("All slices are open: three planes of them are seen, with one crosshair")
        self._choice = QButtonGroup(self)
        layout = row(spacing=0)
        for button, volume in ((self.of_slice, False), (self.of_volume, True)):
            self._choice.addButton(button)
            button.clicked.connect(lambda _checked=False, volume=volume: self._choose(volume))
            layout.addWidget(button, 1)
        return layout

    def _make_range(self) -> QWidget:
        """Which slices are the volume."""
        self._range = QWidget()
        layout = row(self._range, spacing=4)
        self.first, self.last = WholeBox(1, 1), WholeBox(1, 1)
        for box, name, words in ((self.first, "First slice", "slices"), (self.last, "Last slice", "to")):
            box.setAccessibleName(name)
            box.setToolTip("Only these slices are the volume that is seen and reconstructed, from 1")
            box.valueChanged.connect(self._take_range)
            label = QLabel(words)
            label.setBuddy(box)
            layout.addWidget(label)
            layout.addWidget(box, 1)
        return self._range

    def _take_range(self) -> None:
        self._session.volume.take_slices(self.first.value() - 1, self.last.value() - 1)

    @staticmethod
    def _half(text: str) -> QToolButton:
        button = QToolButton(autoRaise=True)  # so that the pressed one is seen
        button.setText(text)
        button.setCheckable(True)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        return button

    def _choose(self, volume: bool) -> None:
        if volume and not self._session.volume.why_not:
            self._session.shown.clear()  # a run of one slice would stand in the place of the volume
        self._session.volume.choose(volume)
        self._show_choice()

    def _show_choice(self) -> None:
        volume = self._session.volume
        allow(self.of_volume, volume.why_not)
        (self.of_volume if volume.on else self.of_slice).setChecked(True)
        self._range.setVisible(volume.on)
        if volume.on and (image := self._session.data.image) is not None:
            for box, value in ((self.first, volume.pages.start + 1), (self.last, volume.pages.stop)):
                with QSignalBlocker(box):
                    box.setRange(1, image.pages)
                    box.setValue(value)
        self.page.setVisible(not volume.on)  # the slice that is looked at is in the strip above the panes

    def _make_centre(self) -> None:
        """The centre of rotation beside the data: it is looked for with an eye on the FBP."""
        self.centre = NumberBox()
        self.centre.setAccessibleName("Centre of rotation")
        self.centre.setStepType(NumberBox.StepType.DefaultStepType)
        self.centre.setSingleStep(_CENTRE_STEP)
        self.centre.setSuffix(" bins")
        self.centre.valueChanged.connect(lambda value: self._session.method.set_problem("centre", value))
        self._of_scan = QWidget()
        self.found = QToolButton()
        self.found.setText("Found")
        self.found.setToolTip("Back to the centre that was found in the scan, or that its file states")
        self.found.clicked.connect(lambda: self._session.method.set_problem("centre", self._stated_centre))
        self.centre_row = QWidget()
        self.centre_row.setFocusProxy(self.centre)
        both = row(self.centre_row)
        both.addWidget(self.centre, 1)
        both.addWidget(self.found)
        layout, rows = column(self._of_scan, spacing=4), form()
        tip = "Where the detector sees the axis of rotation, from its middle; the FBP follows while it is changed"
        self.centre.setToolTip(tip)
        labelled(rows, "Centre", self.centre_row, tip)
        layout.addLayout(rows)
        layout.addWidget(self.scan)

    def _offer_series(self, around: SeriesAround) -> None:
        self.series.setVisible(around.found is not None)
        if around.found is not None:
            what = "slices" if around.found.name == "series" else "images"
            self.series.setText(f"Open the whole {around.found.name} ({around.found.count} {what})")

    def refresh(self) -> None:
        """Show what is open."""
        image = self._session.data.image
        self._of_pages.setVisible(image is not None and image.pages > 1)
        self.reading.setVisible(image is not None)
        self._of_scan.setVisible(image is not None and image.is_scan)
        self.notes.setVisible(image is not None and bool(_notes(image)))
        if image is None:
            return
        self.name.setText(image.name)
        self.brief.setText(image.name)
        self._show_details()
        self.notes.setText(_notes(image))
        self._show_choice()
        self.reading.show_settings(image.reading, without=_OF_PICTURES if image.is_scan else ())
        self.scan.show_settings(image.reading)
        self._show_centre()
        with QSignalBlocker(self.page):
            self.page.setRange(1, image.pages)
            self.page.setValue(image.page + 1)
            self.page.setSuffix(f" of {image.pages}")

    _looked_at: Image | None = None
    _coloured = False

    def _show_details(self) -> None:
        """What the numbers are, and of a colour picture whether its colours are kept."""
        image, prior = self._session.data.image, self._session.prior.loaded
        if image is None:
            return
        colours = ""
        if image is not self._looked_at:  # once for each image: all its pixels are compared
            self._looked_at, self._coloured = image, image.is_coloured
        if prior is not None and self._coloured:
            kept = prior.channels > 1 or self._session.method.problem.keeps_colours
            colours = "; in colour" if kept else "; its colours become grey for this problem"
        self.details.setText(f"{_details(image)}{colours}")

    @property
    def _stated_centre(self) -> float:
        image = self._session.data.image
        stated = {} if image is None or image.measured is None else image.measured.problem
        return float(stated.get("centre", 0.0))

    def _show_centre(self) -> None:
        centre = getattr(self._session.method.problem, "centre", None)
        self.found.setEnabled(centre is not None and centre != self._stated_centre)
        if centre is not None and self.centre.value() != centre:
            with QSignalBlocker(self.centre):
                self.centre.setValue(centre)


def _details(image: Image) -> str:
    low, high = map(number_text, image.window)
    spacing = f"{_pixels(image.spacing)} mm" if image.spacing else "of unknown size"
    unit = f" {image.unit}" if image.unit else ""
    what = ""
    if image.measured is not None:
        rows, columns = image.measured.values.shape[1:]
        what = f"scan of {columns} bins × {rows} views, " if image.is_scan else "degraded picture, "
    return f"{what}pixels {spacing}; {low} to {high}{unit} is 0 to 1"


def _pixels(spacing: tuple[float, float]) -> str:
    """The size of a pixel, width × height where it is not square."""
    rows, columns = (f"{pitch:.3g}" for pitch in spacing)
    return columns if rows == columns else f"{columns} × {rows}"


def _notes(image: Image) -> str:
    return "\n".join(image.notes + (image.measured.notes if image.measured is not None else ()))


_TOGGLES = ("bad_bins", "zingers", "beam_drift", "rings")
_OTHERS = tuple(spec.name for spec in specs(ReadingSettings) if spec.name not in _CORRECTIONS)
_LABELS = {spec.name: spec.label for spec in specs(ReadingSettings)}
_WALL_HEIGHT = 330


class CorrectionsSection(Section):
    """Seen while a scan is open."""

    def __init__(self, corrections: Corrections) -> None:
        super().__init__("Corrections")
        self.corrections = corrections
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
        image, proposals = self.corrections.image, self.corrections.proposals
        self.setVisible(image is not None)
        if image is None:
            return
        self.form.show_settings(image.reading)
        self._show_proposals(proposals)
        on = [name for name in _CORRECTIONS if getattr(image.reading, name) != _default(name)]
        names = ", ".join(_LABELS[name].lower() for name in on)
        self.brief.setText(names or ("proposed" if proposals else "off"))
        self._show_comparison(self.corrections.comparison)

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
                partial(self.corrections.take, (proposal,)),
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
            self.compared.setVisible(self.corrections.comparing)
            return
        what = "With what is proposed" if comparison.proposed else "With what is on"
        self.compared.setVisible(True)
        self.compared.setText(
            f"{what}, the sinogram changes by {comparison.sinogram_changes:.2%} and the FBP by "
            f"{comparison.image_changes:.2%}."
        )
        tip = "A click shows it alone, one more all of them; where pixels are left out, those that change most are shown"
        pairs = (("sinogram", comparison.sinograms, True), ("FBP", comparison.images, False))
        columns = [
            [Tile(f"{name} {when}", pictures[number], tip, fills) for name, pictures, fills in pairs]
            for number, when in enumerate(("before", "after"))
        ]
        self.wall.set_groups([columns])


def _default(name: str) -> object:
    return CorrectionSettings.model_fields[name].default
