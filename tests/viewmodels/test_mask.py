"""A painted mask: what strokes cover, what can be taken back, and the file that the problem names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padis_gui.core.files.read import read_named_picture
from padis_gui.core.images.image import fill_box, stamp, write_mask
from padis_gui.core.physics.pixelwise import InpaintingSettings
from padis_gui.viewmodels.session.mask import MaskEditor
from tests.qt import open_both, until

coordinate = st.floats(-10, 40, allow_nan=False)


def known(settings):
    """The pixels that a mask of 64 x 64 leaves."""
    return settings.known(64, 64, read_named_picture(settings)).numpy()


@given(coordinate, coordinate, coordinate, coordinate, st.floats(0, 12), st.booleans())
def test_a_stroke_sets_the_pixels_near_its_line_and_no_others(r0, c0, r1, c1, radius, value):
    mask = np.full((24, 30), not value)
    stamp(mask, (r0, c0), (r1, c1), radius, value=value)
    row, column = np.mgrid[:24, :30] + 0.5
    t = np.linspace(0, 1, 400)[:, None, None]
    near = np.hypot(row - (r0 + t * (r1 - r0)), column - (c0 + t * (c1 - c0))).min(axis=0)
    assert (mask[near < radius - 0.2] == value).all()
    assert (mask[near > max(radius + 0.2, 1.0)] == (not value)).all()


def test_a_point_brush_sets_the_pixel_under_it():
    mask = np.zeros((4, 4), dtype=bool)
    stamp(mask, (2.1, 3.9), (2.1, 3.9), 0.1, value=True)
    assert mask.nonzero() == (2, 3)


@given(coordinate, coordinate, coordinate, coordinate)
def test_a_box_is_what_it_touches_whichever_way_it_is_drawn(r0, c0, r1, c1):
    masks = []
    for corner, opposite in (((r0, c0), (r1, c1)), ((r1, c0), (r0, c1))):
        mask = np.zeros((24, 30), dtype=bool)
        fill_box(mask, corner, opposite, value=True)
        masks.append(mask)
    np.testing.assert_array_equal(*masks)
    inside = np.zeros((24, 30), dtype=bool)
    for r in range(24):
        for c in range(30):
            inside[r, c] = r < max(r0, r1) and r + 1 > min(r0, r1) and c < max(c0, c1) and c + 1 > min(c0, c1)
    assert masks[0][inside].all()


@pytest.fixture
def editor(session, drive, phantom_path, prior_path, tmp_path):
    async def go():
        await open_both(session, phantom_path, prior_path)
        session.method.set_physics("inpainting")
        await until(lambda: session.preparation.prepared)

    drive(go())
    return MaskEditor(session, tmp_path)


async def given_to_the_problem(editor):
    await until(lambda: not editor._soon.isActive())
    await until(lambda: editor._session.preparation.prepared)


def test_painting_begins_with_the_present_mask_and_changes_the_problem(editor, session, drive, tmp_path):
    before = ~known(session.method.problem)
    measured = session.preparation.pictures.measurement

    async def go():
        editor.begin()
        np.testing.assert_array_equal(editor.missing, before)
        editor.clear()
        editor.remember()
        editor.stroke((32, 10), (32, 50), 6, erase=False)
        await given_to_the_problem(editor)

    drive(go())
    assert session.method.problem.mask == "file"
    assert session.method.problem.mask_file.startswith(str(tmp_path / "masks"))
    np.testing.assert_array_equal(~known(session.method.problem), editor.missing)
    assert not np.array_equal(measured, session.preparation.pictures.measurement)
    assert editor.share == pytest.approx(6 * 46 / 64**2, rel=0.15)


def test_the_masks_of_earlier_runs_stay(editor, session, drive):
    files = []

    async def go():
        editor.begin()
        editor.clear()
        for row in (10, 40):
            editor.remember()
            editor.stroke((row, 10), (row, 50), 4, erase=False)
            await given_to_the_problem(editor)
            files.append((session.method.problem.mask_file, editor.missing.copy()))

    drive(go())
    assert files[0][0] != files[1][0]
    for file, mask in files:
        np.testing.assert_array_equal(~known(InpaintingSettings(mask="file", mask_file=file)), mask)


def test_changes_are_taken_back_and_made_again(editor, drive):
    def carve():
        editor.remember()
        editor.box((0, 0), (9.5, 9.5), erase=True)

    async def go():
        editor.begin()
        states = [editor.missing.copy()]
        for change in (editor.clear, editor.invert, carve):
            change()
            states.append(editor.missing.copy())
        for state in states[-2::-1]:
            editor.undo()
            np.testing.assert_array_equal(editor.missing, state)
        assert not editor.undoable
        for state in states[1:]:
            editor.redo()
            np.testing.assert_array_equal(editor.missing, state)
        assert not editor.redoable

    drive(go())


def test_masks_are_loaded_and_saved_where_the_user_wants(editor, session, drive, tmp_path):
    mask = np.zeros((64, 64), dtype=bool)
    mask[5:9, 7:20] = True
    write_mask(tmp_path / "mine.png", mask)
    write_mask(tmp_path / "small.png", mask[:32])

    async def go():
        editor.begin()
        editor.load(tmp_path / "mine.png")
        np.testing.assert_array_equal(editor.missing, mask)
        editor.load(tmp_path / "small.png")
        np.testing.assert_array_equal(editor.missing, mask)
        assert "64 x 64" in session.said[-1][1]
        editor.save(tmp_path / "out" / "saved.png")
        assert session.method.problem.mask_file == str(tmp_path / "out" / "saved.png")
        (tmp_path / "file").touch()
        editor.save(tmp_path / "file" / "below.png")
        assert "in a folder that does not exist" in session.said[-1][1]
        before = session.data.path.read_bytes()
        editor.save(session.data.path)
        assert "is the input" in session.said[-1][1]
        assert session.data.path.read_bytes() == before
        assert session.method.problem.mask_file == str(tmp_path / "out" / "saved.png")
        await given_to_the_problem(editor)

    drive(go())


def test_a_mask_that_leaves_nothing_says_so_and_can_be_mended(editor, session, drive):
    async def go():
        editor.begin()
        editor.clear()
        editor.invert()
        await until(lambda: any("all of them are missing" in text for _, text, _ in session.said))
        editor.undo()
        await given_to_the_problem(editor)

    drive(go())
    assert editor.share == 0


def test_painting_ends_with_another_physics_or_another_size(editor, session, drive, tmp_path):
    ended = []
    editor.toggled.connect(ended.append)
    np.save(tmp_path / "other.npy", np.linspace(0, 1, 48 * 48, dtype=np.float32).reshape(48, 48))

    async def go():
        editor.begin()
        session.method.set_physics("deblur")
        assert editor.missing is None
        assert not editor.possible
        session.method.set_physics("inpainting")
        assert editor.possible
        editor.begin()
        await session.data.open(tmp_path / "other.npy")
        assert editor.missing is None

    drive(go())
    assert ended == [True, False, True, False]
