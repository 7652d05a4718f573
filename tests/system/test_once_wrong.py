"""What once went wrong with files of others, and with hostile or unlucky inputs, by which tests it is kept right.

Each was one of a kind: the tests named have it and at least two more of that kind, as rows of their tables.
"""

import ast
from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parents[1]
_FILES, _SETTINGS = "core/files/test_", "core/settings/test_"
ONCE_WRONG: dict[str, tuple[str, ...]] = {  # file::test of the case itself, then those that have more of its kind
    "DICOM with a TIFF's header in its preamble": (
        f"{_FILES}dicom.py::test_the_preamble_may_be_of_another_format", f"{_FILES}dicom.py::test_without_preamble",
    ),
    "lossless JPEG and JPEG-LS in DICOM": (
        f"{_FILES}dicom.py::test_packed_pixels", f"{_FILES}dicom.py::test_packed_frames_are_read_one_at_a_time",
        f"{_FILES}dicom.py::test_packed_colours",
    ),
    "a sign in JPEG 2000 that DICOM's header denies": (
        f"{_FILES}dicom.py::test_signed_numbers_packed_with_their_sign",
        f"{_FILES}dicom.py::test_signed_numbers_packed_without_their_sign",
    ),
    "CMYK with opacity, or of other numbers": (
        f"{_FILES}formats_tiff.py::test_inks_of_any_type", f"{_FILES}formats_tiff.py::test_other_inks_are_refused",
        f"{_FILES}formats_tiff.py::test_colour_spaces_that_are_not_read_are_said",
    ),
    "Orientation of a TIFF": (f"{_FILES}formats_tiff.py::test_every_orientation_is_obeyed",),
    "MONOCHROME1 in HU": (
        f"{_FILES}dicom.py::test_numbers_with_a_unit_are_never_turned_round",
        f"{_FILES}dicom.py::test_frames_of_an_enhanced_file_keep_their_unit",
    ),
    "NIfTI of few sagittal slices": (f"{_FILES}nifti.py::test_the_plane_of_acquisition",),
    "half acquisition": (
        f"{_FILES}scans_beamlines.py::test_half_acquisition_gives_what_a_whole_detector_does",
        f"{_FILES}scans_beamlines.py::test_half_acquisition_by_a_fan_beam_holds_for_every_distance",
    ),
    "angles, flats and darks that tomoscan states": (
        f"{_FILES}scans_beamlines.py::test_angles_flats_and_darks_that_are_stated_stand_for_arrays",
        f"{_FILES}scans_beamlines.py::test_a_field_of_one_value_or_of_one_a_bin_is_for_all_rows",
    ),
    "NXtomo with its frames in another file": (
        f"{_FILES}scans_beamlines.py::test_frames_in_another_file_are_refused_by_that_name",
        f"{_FILES}scans_beamlines.py::test_no_part_of_a_scan_in_another_file_is_taken_for_missing",
        f"{_FILES}hdf5_links.py::test_links_are_refused_by_name_and_followed_on_request",
    ),
    "a filter that HDF5 has not": (
        f"{_FILES}scans_beamlines.py::test_a_filter_that_is_not_here_is_named_and_nothing_is_called_damaged",
        f"{_FILES}scans_beamlines.py::test_what_beamlines_pack_by_is_unpacked",
    ),
    "angles that never change": (f"{_FILES}scans_beamlines.py::test_angles_that_never_change_are_refused",),
    "a stated axis": (f"{_FILES}scans_beamlines.py::test_an_axis_that_is_stated_is_taken",),
    "one bad dark field": (
        f"{_FILES}scans_beamlines.py::test_one_bad_field_of_several_is_left_out_and_said",
        f"{_FILES}scans_noticed.py::test_what_lies_on_some_flats_is_left_out_there",
    ),
    "NIfTI without a unit of length": (
        f"{_FILES}nifti.py::test_a_unit_that_is_not_stated_is_mm_and_said",
        f"{_FILES}nifti.py::test_a_header_beside_its_image",
    ),
    "a million threads in a recipe": (
        f"{_SETTINGS}untrusted.py::test_numbers_of_a_recipe_that_cannot_be_are_named_where_it_enters",
        "system/test_cli_reconstruct.py::test_absurd_numbers_of_threads_are_refused",
    ),
    "a million threads in the window": (
        "viewmodels/test_restoring.py::test_numbers_of_a_stranger_that_cannot_be_start_nothing",
    ),
    "a ValidationError of a million parts": (
        f"{_SETTINGS}untrusted.py::test_a_million_faulty_values_take_no_memory_and_no_time",
        "core/prior/test_edm_hostile.py::test_bombs_take_no_more_than_a_gigabyte_besides",
    ),
    "escape sequences in names": (
        f"{_SETTINGS}untrusted.py::test_names_in_a_queue_are_plain",
        f"{_SETTINGS}untrusted.py::test_no_message_is_obeyed_by_a_terminal_or_fills_it",
        f"{_FILES}broken_files.py::test_names",
    ),
    "a run that a full disk refused": (
        "viewmodels/test_store.py::test_a_run_that_the_disk_refused_is_saved_once_there_is_room",
        "viewmodels/test_store.py::test_files_that_could_not_be_removed_are_removed_later",
        "gui/test_unsaved.py::test_the_window_says_which_runs_are_not_saved_until_they_are",
    ),
    "deep JSON in an experiment's results": (
        f"{_SETTINGS}untrusted.py::test_lines_of_results_end_at_newlines_only",
        f"{_SETTINGS}untrusted.py::test_other_json_is_refused_before_anything_looks_at_it",
    ),
    "a checkpoint that cannot be mapped": (
        f"{_SETTINGS}untrusted.py::test_a_prior_that_declares_more_than_memory_can_map_is_a_sentence",
        "core/prior/test_edm_hostile.py::test_a_file_too_large_is_not_read",
    ),
    "a device as a kernel": (
        f"{_SETTINGS}untrusted.py::test_what_may_never_end_is_not_waited_for",
        f"{_FILES}broken_files.py::test_what_is_no_file",
        f"{_FILES}scanners_refused.py::test_a_pipe_among_the_projections_is_not_waited_for",
    ),
    "curves of nothing": (
        "gui/test_plot.py::test_a_run_with_nothing_to_draw_may_follow_one_that_is_being_drawn",
        "gui/test_plot.py::test_the_mouse_over_curves_that_have_gone_finds_nothing",
        "gui/test_plot.py::test_a_line_of_which_nothing_is_known_yet_is_painted_as_nothing",
    ),
    "pictures compared by ==": ("system/test_identity.py::test_what_holds_arrays_is_the_same_only_as_itself",),
    "outputs over inputs": (
        "system/test_cli_kept.py::test_an_input_is_never_written_over",
        f"{_SETTINGS}outputs.py::test_an_input_is_known_by_whatever_leads_to_it",
        "gui/test_unsaved.py::test_views_and_queues_are_not_written_over_what_is_open",
    ),
    "a name too long with its temporary suffix": (
        f"{_SETTINGS}outputs.py::test_a_name_has_room_for_its_temporary_one_in_bytes",
    ),
    "a name that is no UTF-8": (
        "system/test_cli_kept.py::test_a_name_that_is_no_text_is_refused_before_anything_is_done",
        "viewmodels/test_store.py::test_an_image_whose_name_is_no_text_is_seen_and_not_run",
    ),
    "numbers of a recipe": (
        f"{_SETTINGS}untrusted.py::test_numbers_of_a_recipe_that_cannot_be_are_named_where_it_enters",
        f"{_SETTINGS}untrusted.py::test_a_volume_without_pages_is_refused",
        f"{_SETTINGS}untrusted.py::test_a_window_without_extent_is_refused",
    ),
    "a full disk without a reason": (
        f"{_SETTINGS}outputs.py::test_an_error_without_a_reason_gets_the_systems",
        "system/test_full_disk.py::test_where_no_file_may_grow_it_is_said_and_what_was_there_stays",
    ),
    "a checkpoint's words": (
        "core/prior/test_checkpoint.py::test_versions", "core/prior/test_checkpoint.py::test_tensors_that_do_not_fit",
    ),
    "extreme values": (
        "core/images/test_size.py::test_values_that_single_precision_cannot_square_and_sum_are_a_sentence",
        "core/images/test_size.py::test_an_image_of_any_range_has_its_greys",
    ),
    "a scan that declares a million flats": (
        f"{_FILES}scans_beamlines.py::test_fields_are_counted_before_they_are_read",
        f"{_FILES}scans_refused.py::test_a_header_that_promises_more_than_memory",
        f"{_FILES}formats.py::test_an_hdf5_chunk_larger_than_memory",
    ),
    "a file that another program cuts": (
        f"{_FILES}broken_files.py::test_a_file_that_another_program_cuts_is_a_sentence",
        f"{_FILES}broken_files.py::test_a_scan_that_another_program_cuts_is_refused",
        f"{_SETTINGS}tensors.py::test_a_file_cut_while_it_is_open_is_an_error",
    ),
    "more than a gigabyte, or ten seconds, at the size limit": (
        f"{_FILES}broken_files.py::test_small_files_of_the_largest_pictures_take_no_more_than_a_gigabyte_besides",
        f"{_FILES}broken_files.py::test_the_largest_pictures_of_other_formats_take_no_more_than_a_gigabyte_besides",
        f"{_FILES}broken_files.py::test_the_largest_scan_takes_no_more_than_a_gigabyte_besides",
        f"{_FILES}broken_files.py::test_a_jpeg_that_goes_over_its_pixels_a_thousand_times_is_refused",
    ),
    "half a character in a recipe": (
        f"{_SETTINGS}untrusted.py::test_half_a_character_is_refused_before_anything_is_computed",
        f"{_SETTINGS}outputs.py::test_an_input_whose_name_holds_a_zero_is_none_of_the_outputs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ONCE_WRONG)
def test_what_once_went_wrong_has_its_tests(what: str) -> None:
    for named in ONCE_WRONG[what]:
        file, _, wanted = named.partition("::")
        tree = ast.parse((_TESTS / file).read_text(encoding="utf-8"))
        assert wanted in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, named
