"""A slider beside the panes that turns the pages of the open file, with their small pictures while it is dragged."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QPoint, QSignalBlocker, QSize, Qt
from PySide6.QtGui import QAction, QKeyEvent, QWheelEvent
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QSlider, QWidget

from padis_gui.gui.kit.actions import panel_action
from padis_gui.gui.kit.picture_wall import pixmap_of
from padis_gui.gui.kit.widgets import column, debounced
from padis_gui.viewmodels.pictures.planes import Plane
from padis_gui.viewmodels.session.pages import PageTurner, Slices
from padis_gui.viewmodels.session.session import Session

_NOTCH = 120  # of a wheel, in eighths of a degree
_REST_MS = 150  # a hand that rests so long while it drags wants to see the page itself
_SIDE = 168


class _Slider(QSlider):
    """From the first page on top to the last one; a notch of the wheel is one page."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self.setInvertedAppearance(True)
        self.setInvertedControls(True)
        self._turned = 0

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._turned += event.angleDelta().y()
        notches = int(self._turned / _NOTCH)
        self._turned -= notches * _NOTCH
        self.setValue(self.value() + (-notches if self.invertedAppearance() else notches))
        event.accept()

    def event(self, event: QEvent) -> bool:
        """Home and End are its own while it has the keyboard; else the timeline has them."""
        if (
            event.type() is QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and event.key() in (Qt.Key.Key_Home, Qt.Key.Key_End)
        ):
            event.accept()
            return True
        return super().event(event)


class _Preview(QFrame):
    """The small picture of a page beside the slider's handle."""

    def __init__(self, beside: QWidget) -> None:
        super().__init__(beside.window())
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAutoFillBackground(True)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._beside = beside
        self.picture, self.words = QLabel(), QLabel()
        for label in (self.picture, self.words):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setFixedSize(QSize(_SIDE, _SIDE))
        layout = column(self, spacing=2, margins=(4, 4, 4, 4))
        layout.addWidget(self.picture)
        layout.addWidget(self.words)
        self.hide()

    def show_at(self, share: float) -> None:
        """Show it left of the slider, at a share of its height."""
        self.adjustSize()
        window, beside = self._beside.window(), self._beside
        corner = beside.mapTo(window, QPoint(0, round(share * beside.height())))
        top = min(max(corner.y() - self.height() // 2, 0), max(0, window.height() - self.height()))
        self.move(max(0, corner.x() - self.width() - 6), top)
        self.show()
        self.raise_()


class SliceSlider(QWidget):
    """Away while the open file has one page. ``keys_in`` is the widget within which Page Up and Page Down turn pages."""

    def __init__(self, session: Session, slices: Slices, keys_in: QWidget) -> None:
        super().__init__()
        self._session, self._slices = session, slices
        self.turner = PageTurner(session)
        self.slider = _Slider()
        self.slider.setAccessibleName("Slice")
        self.slider.setToolTip(
            "The page or slice of the open file; drag, turn the wheel, or press Page Up and Page Down"
        )
        self.slider.valueChanged.connect(self._moved)
        self.slider.sliderReleased.connect(self._released)
        self.where = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self.where.setToolTip("Which page of how many is open")
        self._preview: _Preview | None = None
        self._rest = debounced(self, _REST_MS, self._turn)
        self.previous = self._action("Previo&us page", "previous_page", "PgUp", -1, keys_in)
        self.next = self._action("Ne&xt page", "next_page", "PgDown", 1, keys_in)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        layout = column(self, spacing=2, margins=(2, 4, 2, 4))
        layout.addWidget(self.slider, 1, Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self.where)
        session.data.changed.connect(self.refresh)
        session.run.changed.connect(self.refresh)
        self.turner.arrived.connect(self.refresh)  # also where a page could not be read
        session.volume.changed.connect(self.refresh)
        session.volume.moved.connect(self.refresh)
        slices.came.connect(self._came)
        self.refresh()

    @property
    def actions_of_menu(self) -> list[QAction]:
        """What turns pages by keyboard."""
        return [self.previous, self.next]

    def _action(self, text: str, name: str, keys: str, by: int, within: QWidget) -> QAction:
        tip = f"Open the {text.replace('&', '').lower().replace('page', 'page or slice')} of the open file"
        move: Callable[[], None] = lambda: self._go(by)  # noqa: E731
        return panel_action(self, name, text, tip, keys, move, within)

    def _go(self, by: int) -> None:
        self.slider.setValue(self.slider.value() + (-by if self._session.volume.on else by))

    # From the session -----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show which page is open, or on its way."""
        image, volume = self._session.data.image, self._session.volume
        several = image is not None and image.pages > 1
        self.setVisible(several)
        self.slider.setEnabled(several)
        for action in self.actions_of_menu:
            action.setEnabled(several)
        if image is None:
            return
        self._name(volume=volume.on)
        with QSignalBlocker(self.slider):
            count = len(volume.pages) if volume.on else image.pages
            self.slider.setRange(0, count - 1)
            self.slider.setPageStep(max(1, count // 10))
            if volume.on:
                self.slider.setValue(volume.place.slice)
            elif not self.slider.isSliderDown():
                wanted = self.turner.wanted
                self.slider.setValue(image.page if wanted is None else wanted)
        self._say()

    def _name(self, *, volume: bool) -> None:
        """Pages go down from the first one; the slices of a volume go up, as they do in its other planes."""
        self.slider.setInvertedAppearance(not volume)
        self.slider.setInvertedControls(not volume)
        up, down = ("Slice abo&ve", "Slice bel&ow") if volume else ("Previo&us page", "Ne&xt page")
        self.previous.setText(up)
        self.next.setText(down)

    def _say(self) -> None:
        count = self.slider.maximum() + 1
        self.where.setMinimumWidth(self.where.fontMetrics().horizontalAdvance(f"of {count}"))
        self.where.setText(f"{self.slider.value() + 1}\nof {count}")

    def _came(self, page: int) -> None:
        if self._preview is not None and self._preview.isVisible() and page == self.slider.value():
            self._show_preview()

    # From the user --------------------------------------------------------------------------------

    def _moved(self) -> None:
        self._say()
        volume = self._session.volume
        if volume.on:
            volume.move(volume.place.moved(Plane.AXIAL, self.slider.value()))
        elif self.slider.isSliderDown():
            self._show_preview()
            self._rest.throttle()
        else:
            self._turn()

    def _released(self) -> None:
        if self._preview is not None:
            self._preview.hide()
        self._turn()

    def _turn(self) -> None:
        if self.slider.isEnabled() and not self._session.volume.on:
            self.turner.turn(self.slider.value())

    def _show_preview(self) -> None:
        page = self.slider.value()
        if self._preview is None:
            self._preview = _Preview(self.slider)
        self._preview.words.setText(f"page {page + 1}")
        found = self._slices.picture(page)
        if found is not None:
            side = QSize(_SIDE, _SIDE)
            self._preview.picture.setPixmap(
                pixmap_of(found).scaled(
                    side, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
                )
            )
        self._preview.show_at(page / max(1, self.slider.maximum()))
