"""What holds arrays is the same only as itself: ``==`` of two others would ask an array for its truth and raise."""

import dataclasses
import importlib
import inspect
import pkgutil
import re

import padis_gui

_HOLDS_ARRAYS = re.compile(r"\b(ndarray|NDArray|Tensor)\b")


def _dataclasses():
    for module in pkgutil.walk_packages(padis_gui.__path__, "padis_gui."):
        if module.name.endswith("__main__"):
            continue
        for name, found in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(found) and dataclasses.is_dataclass(found) and found.__module__ == module.name:
                yield f"{module.name}.{name}", found


def _compares_arrays(found):
    if not found.__dataclass_params__.eq:
        return False
    compared = [str(field.type) for field in dataclasses.fields(found) if field.compare]
    return any(_HOLDS_ARRAYS.search(kind) and "Callable" not in kind for kind in compared)


def test_what_holds_arrays_is_the_same_only_as_itself():
    assert [name for name, found in _dataclasses() if _compares_arrays(found)] == []
