"""The plot of the window: what it is given is what is drawn, when it can be seen, and nothing holds the window up."""

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QGridLayout, QVBoxLayout, QWidget

from padis_gui.gui.kit.plot import DrawQueue, Line, Plot
from padis_gui.gui.kit.theme import set_scheme
from padis_gui.gui.kit.widgets import row
from padis_gui.gui.runs.curves import THIS_RUN, Curves
from padis_gui.viewmodels.pictures.frames import CurvePoint
from tests.gui.pictures import click_at, hover_at, settle, wait_for


@pytest.fixture
def shown(styled):
    """Makes plots and shows them."""
    made = []

    def show(*arguments, **options):
        plot = Plot(*arguments, **options)
        made.append(plot)
        plot.resize(400, 200)
        plot.show()
        return plot

    yield show
    for plot in made:
        plot.close()
        plot.deleteLater()
    settle()


def drawn(plot, *lines):
    plot.set_lines(lines)
    wait_for(lambda: plot.is_drawn)
    return plot


def test_a_value_that_is_no_number_breaks_a_line_or_is_passed_over(shown):
    plot = shown("PSNR")
    x, y = [1, 2, 3], [1.0, np.nan, 3.0]
    drawn(plot, Line("broken", "red", x, y), Line.through_known("whole", "blue", x, y))
    np.testing.assert_array_equal(plot.points("broken"), [x, y])
    np.testing.assert_array_equal(plot.points("whole"), [[1, 3], [1, 3]])


def test_a_line_of_which_nothing_is_known_yet_is_painted_as_nothing(shown):
    plot = shown("loss", logarithmic=True)
    drawn(plot, Line("a", "red", [0, 1], [np.nan, np.nan], dots=True), Line("b", "blue", [0, 1], [1.0, 2.0]))
    plot.grab()
    assert len(plot.points("a")[0]) == 0
    assert plot.points("b")[1].tolist() == [1, 2]


def test_lines_replace_those_before(shown):
    plot = shown("PSNR")
    drawn(plot, Line("a", "red", [0, 1], [0, 1]), Line("b", "blue", [0, 1], [1, 0]))
    drawn(plot, Line("b", "blue", [0, 1], [2, 3]))
    assert plot.names == ["b"]
    assert len(plot.points("a")[0]) == 0
    assert plot.points("b")[1].tolist() == [2, 3]


def test_nothing_at_all_says_what_to_expect_and_has_no_numbers(shown):
    plot = shown("PSNR")
    plot.set_empty_text("grows with a run")
    drawn(plot)
    assert plot.empty.isVisible()
    assert not plot.view.isVisible()  # neither axes nor numbers
    drawn(plot, Line("a", "red", [0, 1], [0, 1]))
    assert not plot.empty.isVisible()
    assert plot.view.isVisible()


def test_zero_has_a_place_on_a_logarithmic_axis(shown):
    plot = drawn(shown("residual", logarithmic=True), Line("a", "red", [0, 1, 2], [1.0, 0.1, 0.0]))
    low, high = plot.view.box.viewRange()[1]
    assert np.isfinite([low, high]).all()
    assert plot.points("a")[1].min() > 0


def test_many_points_are_thinned_to_their_extremes(shown):
    x = np.arange(100_000)
    y = np.sin(x / 50.0)
    y[54_321], y[7] = 9.0, -9.0
    plot = drawn(shown("a"), Line("a", "red", x, y))
    places, values = plot.points("a")
    assert len(values) < 2500
    assert (values.min(), values.max()) == (-9.0, 9.0)
    assert places[-1] == x[-1]


def test_the_vertical_range_stays_while_a_line_fits_and_follows_when_it_does_not(shown):
    plot = drawn(shown("a"), Line("a", "red", [0, 1], [0.0, 10.0]))
    before = plot.view.box.viewRange()[1]
    drawn(plot, Line("a", "red", [0, 1, 2], [0.0, 10.0, 9.0]))
    assert plot.view.box.viewRange()[1] == before
    drawn(plot, Line("a", "red", [0, 1, 2], [0.0, 10.0, 20.0]))
    assert plot.view.box.viewRange()[1][1] >= 20
    drawn(plot, Line("a", "red", [0, 1, 2], [0.0, 1.0, 0.5]))
    assert plot.view.box.viewRange()[1][1] < 3


def test_a_level_marker_and_seams_are_seen_and_go_again(shown):
    plot = shown("a")
    plot.set_x_range(0, 10)
    plot.set_level(30.0, "FBP")
    plot.set_marker(4)
    plot.set_seams([2.0, 8.0])
    drawn(plot, Line("a", "red", [0, 10], [0.0, 1.0]))
    assert (plot.level, plot.marker, plot.seams) == (30.0, 4, [2.0, 8.0])
    assert plot.view.box.viewRange()[1][1] > 30
    plot.set_level(float("inf"), "FBP")
    plot.set_marker(None)
    plot.set_seams([5.0])
    wait_for(lambda: plot.is_drawn)
    assert (plot.level, plot.marker, plot.seams) == (None, None, [5.0])


@pytest.mark.parametrize("values", [[0.0, 1.0], [0.0, 60.0], [31.0, 60.0]], ids=["top", "middle", "bottom"])
def test_a_level_has_its_name_wherever_it_lies(shown, values):
    plot = shown("a")
    plot.set_x_range(0, 10)
    plot.set_level(30.0, "FBP")
    drawn(plot, Line("a", "red", [0, 10], values))
    label, box = plot._level_item.label, plot.view.box
    QApplication.processEvents()
    assert box.sceneBoundingRect().adjusted(-1, -1, 1, 1).contains(label.mapRectToScene(label.boundingRect()))


def test_names_in_the_legend_are_text_and_not_markup(shown):
    plot = drawn(shown("a < b"), Line("<img src=x>", "red", [0, 1], [0, 1]))
    assert "<img" not in plot.heading.text()
    assert "a &lt; b" in plot.heading.text()


def test_of_an_ordered_family_the_ends_are_named(shown):
    lines = [Line(name, "red", [0, 1], [0, 1]) for name in ("low", "middle", "high")]
    assert "middle" not in drawn(shown("a", legend="ends"), *lines).heading.text()
    assert "low" in drawn(shown("a", legend="ends"), *lines).heading.text()
    assert drawn(shown("a", legend="none"), *lines).heading.text() == "a"


def test_a_click_says_where(shown):
    plot = shown("a")
    plot.set_x_range(0, 10)
    drawn(plot, Line("a", "red", [0, 10], [0, 1]))
    settle()
    found = []
    plot.clicked.connect(found.append)
    click_at(plot, 3)
    assert found == [pytest.approx(3, abs=0.1)]


def test_what_the_user_has_zoomed_stays_until_a_double_click_or_another_range(shown):
    plot = shown("a", movable=True)
    plot.set_x_range(0, 10)
    drawn(plot, Line("a", "red", [0, 10], [0, 1]))
    box = plot.view.box

    def zoom():
        box.scaleBy((0.5, 0.5))
        box.sigRangeChangedManually.emit(box.state["mouseEnabled"])
        return box.viewRange()

    zoomed = zoom()
    drawn(plot, Line("a", "red", [0, 10], [0, 2]))
    assert box.viewRange() == zoomed
    settle()
    viewport = plot.view.viewport()
    for act in (QTest.mouseClick, QTest.mouseDClick, QTest.mouseRelease):
        act(viewport, Qt.MouseButton.LeftButton, pos=viewport.rect().center())
    wait_for(lambda: box.viewRange()[0][1] >= 10)
    zoom()
    plot.set_x_range(0, 20)
    wait_for(lambda: box.viewRange()[0][1] >= 20)


def test_a_row_of_plots_is_drawn_one_after_the_other(styled):
    beside = QWidget()
    queue = DrawQueue(beside)
    plots = [Plot(name, queue=queue) for name in "abc"]
    layout = row(beside)
    for plot in plots:
        layout.addWidget(plot)
        plot.set_lines([Line("a", "red", [0, 1], [0, 1])])
    assert not any(plot.is_drawn for plot in plots)  # nobody can see them
    beside.show()
    seen = [0]
    while seen[-1] < len(plots):
        QApplication.processEvents()
        seen.append(sum(plot.is_drawn for plot in plots))
    assert max(np.diff(seen)) == 1
    beside.close()
    beside.deleteLater()
    settle()


def test_colours_follow_the_window(shown):
    plot = drawn(shown("a"), Line("a", "red", [0, 1], [0, 1]))
    seen = []
    for scheme in ("Light", "Dark", "System"):
        set_scheme(scheme)
        settle()
        assert plot.view.backgroundBrush().color() == plot.palette().base().color()
        seen.append(plot.view.backgroundBrush().color().lightness())
    assert seen[0] > seen[1]


def test_plots_take_no_more_than_their_share_beside_others(styled):
    """However long their headings are: the A/B page gives pictures and plots the same height."""
    page, stack = QWidget(), QWidget()
    below = QVBoxLayout(stack)
    for name in ("PSNR [dB]", "Seam ratio " * 20):
        below.addWidget(Plot(name), 1)
    cells = QGridLayout(page)
    above = QWidget()
    for line, widget in enumerate((above, stack)):
        cells.addWidget(widget, line, 0)
        cells.setRowStretch(line, 1)
    page.resize(400, 630)
    page.show()
    settle()
    assert abs(above.height() - stack.height()) <= 2
    page.close()
    page.deleteLater()


@pytest.fixture
def curves(styled):
    """The curves of a run, shown."""
    made = Curves()
    made.resize(400, 700)
    made.show()
    settle()
    yield made
    made.close()
    made.deleteLater()
    settle()


def curve_point(step, value):
    """A step of which everything, or nothing, is known."""
    return CurvePoint(step=step, sigma=value, residual=value, psnr=value, seconds=value, ssim=value)


def test_a_run_with_nothing_to_draw_may_follow_one_that_is_being_drawn(curves):
    known, unknown = [curve_point(step, 1.0) for step in (1, 2)], [curve_point(1, np.nan)]
    for points in (known, unknown, (), known, ()):
        curves.set_points(
            points, 10
        )  # a redraw begins, one plot after the other; the next does not wait for it
    curves.set_points(unknown, 1)
    settle()
    assert not any(plot.isVisible() for plot in curves.plots.values())
    curves.set_points(known, 10)
    wait_for(lambda: len(curves.plots["psnr"].points(THIS_RUN)[0]) == 2)


def test_the_mouse_over_curves_that_have_gone_finds_nothing(curves):
    chosen = []
    curves.step_chosen.connect(chosen.append)
    curves.set_points([curve_point(step, 1.0) for step in (1, 2)], 10)
    settle()
    plot = curves.plots["psnr"]
    click_at(plot, 2)
    assert chosen == [2]
    curves.set_points((), 0)
    for x in (0.1, 0.5):
        hover_at(plot, x)
        click_at(plot, x)
    settle()
    assert chosen == [2]


def test_curves_of_another_run_have_its_name_also_where_the_shown_run_has_none(curves):
    chooser = curves.chooser.x()
    curves.set_compared([curve_point(1, 1.0), curve_point(2, 2.0)], "Run 1")
    settle()
    assert "Run 1" in curves.legend.text()
    assert curves.legend.isVisible()
    assert curves.close_compared.isVisible()
    curves.set_points([curve_point(1, 1.0)], 2)
    curves.set_compared(())
    settle()
    assert curves.legend.text() == ""
    assert curves.chooser.x() == chooser, "the button stays where it is"
