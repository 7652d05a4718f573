"""A form is its declaration: the rows that mean something beside the others' values, and their tooltips."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QFont, QImage, QKeySequence, QPainter, QShortcut, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from padis_gui.core.physics.blur import BlurSettings
from padis_gui.core.physics.pixelwise import InpaintingSettings
from padis_gui.core.physics.registry import PHYSICS
from padis_gui.core.physics.scanner import ParallelBeamSettings
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.settings.declarations import specs
from padis_gui.core.solvers.registry import SOLVERS
from padis_gui.gui.kit.forms import SettingsForm
from padis_gui.gui.kit.widgets import Mark
from tests.gui.pictures import wait_for

ALL = [*(p.settings_type for p in PHYSICS), *(s.settings_type for s in SOLVERS), TilingSettings]


@pytest.fixture
def form_of(qtbot, styled):
    def make(settings):
        form = SettingsForm(type(settings))
        qtbot.addWidget(form)
        form.show_settings(settings)
        form.more.setChecked(True)
        form.show()
        return form

    return make


def shown(form):
    return {name for name, editor in form.editors.items() if editor.isVisible()}


MASK = {"boxes", "box_side", "missing", "pattern", "mask_file"}
KERNEL = {"kernel_size", "kernel_std", "motion_length", "motion_angle", "kernel_file"}
SCAN = {"angles", "views", "arc", "photons", "absorption"}
TILING = {"overlap", "average", "window_below"}


@pytest.mark.parametrize(
    ("settings", "among", "wanted"),
    [
        (InpaintingSettings(mask="boxes"), MASK, {"boxes", "box_side", "pattern"}),
        (InpaintingSettings(mask="pixels"), MASK, {"missing", "pattern"}),
        (InpaintingSettings(mask="file"), MASK, {"mask_file"}),
        (BlurSettings(kernel="motion"), KERNEL, {"motion_length", "motion_angle"}),
        (ParallelBeamSettings(), SCAN, {"angles", "views", "arc", "photons"}),
        (ParallelBeamSettings(angles=(0.0, 30.0), photons=1e4), SCAN, {"angles", "photons", "absorption"}),
        (TilingSettings(strategy="random"), TILING, set()),
        (TilingSettings(strategy="average"), TILING, {"average"}),
    ],
)
def test_only_the_fields_that_mean_something_are_shown(form_of, settings, among, wanted):
    form = form_of(settings)
    assert shown(form) & among == wanted
    for name in among - wanted:  # the label goes with its field
        assert not form.editors[name].parentWidget().layout().labelForField(form.editors[name]).isVisible()


def test_a_changed_kind_changes_the_fields_and_brings_them_back(form_of):
    form = form_of(InpaintingSettings(mask="boxes"))
    before = shown(form)
    form.show_settings(InpaintingSettings(mask="file"))
    assert "mask_file" in shown(form)
    form.show_settings(InpaintingSettings(mask="boxes"))
    assert shown(form) == before


def test_folded_settings_have_a_fold_only_where_there_are_some(form_of):
    form = form_of(TilingSettings(strategy="random"))
    assert not form.more.isVisible()
    form.show_settings(TilingSettings(strategy="auto"))
    assert form.more.isVisible()
    assert shown(form) >= {"window_below"}


@pytest.mark.parametrize("unfolded", ["declared", "none", "all"])
@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_fields_say_whether_they_act_on_the_run_under_way_wherever_the_form_has_them(qtbot, kind, unfolded):
    """A dot where they do; a ring where they don't, once they differ; all else looks as ever."""
    live = {spec.name for spec in specs(kind) if spec.live}
    form = SettingsForm(kind, basic={"declared": None, "none": (), "all": tuple(kind.model_fields)}[unfolded])
    qtbot.addWidget(form)
    form.show_settings(kind())
    tips = {name: (form.labels[name].toolTip(), form.editors[name].toolTip()) for name in form.editors}

    def marked(mark):
        return {name for name, label in form.labels.items() if label.mark is mark}

    assert set(form.labels) == set(form.editors)
    form.set_running(kind(), live)
    assert marked(Mark.NOW) == live & set(form.editors)
    assert marked(Mark.NEXT) == set()
    form.set_running(kind())
    assert marked(Mark.NONE) == set(form.editors)
    others = {name: object() for name in kind.model_fields}
    form.set_running(kind.model_construct(**others), live)
    assert marked(Mark.NOW) == live & set(form.editors)
    assert marked(Mark.NEXT) == set(form.editors) - live
    for name in form.editors:
        words = "next iterate" if name in live else "next run"
        assert words in form.labels[name].toolTip()
        assert words in form.editors[name].toolTip()
        assert words in form.editors[name].accessibleDescription()
        assert form.editors[name].isEnabled()
    form.set_running(None)
    assert marked(Mark.NONE) == set(form.editors)
    assert tips == {n: (form.labels[n].toolTip(), form.editors[n].toolTip()) for n in form.editors}


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_field_says_symbol_unit_range_and_default(form_of, kind):
    form = form_of(kind())
    for spec in form._specs.values():
        tip = form.editors[spec.name].toolTip()
        for part in (spec.symbol, spec.unit, spec.range_text, "Default:", spec.when_text):
            assert part in tip, (spec.name, part)
        assert form.editors[spec.name].accessibleName() == spec.label


def test_the_wheel_changes_a_field_only_when_it_has_the_keyboard(form_of):
    form = form_of(ParallelBeamSettings())
    box = form.editors["views"]

    def wheel():
        event = QWheelEvent(
            QPointF(5, 5), QPointF(5, 5), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(box, event)
        return box.value()

    form.activateWindow()
    wait_for(form.isActiveWindow)
    form.editors["noise"].setFocus()
    assert wheel() == 20
    box.setFocus()
    assert wheel() == 21


@pytest.mark.parametrize("name", ["views", "noise"])
def test_a_number_leaves_letters_and_space_to_the_window(form_of, name):
    form = form_of(ParallelBeamSettings())
    pressed = []
    for key in ("T", "N", "Space", "5"):
        QShortcut(QKeySequence(key), form).activated.connect(lambda key=key: pressed.append(key))
    form.activateWindow()
    wait_for(form.isActiveWindow)
    box = form.editors[name]
    box.setFocus()
    box.selectAll()
    for key in (Qt.Key.Key_T, Qt.Key.Key_N, Qt.Key.Key_Space, Qt.Key.Key_5):
        QTest.keyClick(box, key)
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert pressed == ["T", "N", "Space"]
    assert box.value() == 5 or name == "noise"  # whose range ends at 1


def test_x_hat_has_its_hat(styled):
    def drawn(text):
        picture = QImage(60, 60, QImage.Format.Format_Grayscale8)
        picture.fill(255)
        with QPainter(picture) as painter:
            painter.setFont(QFont(styled.font()))
            painter.drawText(10, 45, text)
        return picture

    assert drawn("x̂") != drawn("x")
