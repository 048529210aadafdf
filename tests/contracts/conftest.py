"""Tests with an argument ``case`` run over every option, with ``backbone`` over every class."""
import pytest
from registered import CASES, CLASSES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, values in (('case', CASES), ('backbone', CLASSES)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, values, ids=str)
