"""Whatever is chosen by its name is found, listed and refused in one way."""

import pytest

from padis_gui.core.physics.registry import PHYSICS
from padis_gui.core.prior.tiling import TILINGS
from padis_gui.core.runs.pair import WHAT_IFS
from padis_gui.core.runs.presets import PRESETS
from padis_gui.core.settings.declarations import Named, Registry
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.solvers.registry import SOLVERS
from padis_gui.core.training.settings import SIZES

REGISTRIES: dict[str, Registry[Named]] = {
    "solver": SOLVERS, "physics": PHYSICS, "preset": PRESETS, "tiling": TILINGS, "fault": WHAT_IFS, "size": SIZES,
}  # fmt: skip


@pytest.mark.parametrize("what", REGISTRIES)
def test_every_record_is_found_by_its_own_name(what: str) -> None:
    records = REGISTRIES[what]
    assert len(set(records.names)) == len(records) > 0
    assert all(records.find(record.name) is record for record in records)


@pytest.mark.parametrize("what", REGISTRIES)
@pytest.mark.parametrize("name", ["", "newton", "Fast", "ct-20 ", "'"])
def test_other_names_are_refused_in_one_sentence(what: str, name: str) -> None:
    with pytest.raises(SettingError) as refused:
        REGISTRIES[what].find(name)
    said = str(refused.value)
    assert said.startswith(f"The {what} must be one of ")
    assert repr(name) in said
    assert all(known in said for known in REGISTRIES[what].names)
