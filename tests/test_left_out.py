"""``--allow-missing`` leaves out what a test file imports and is not there, and nothing else."""
from pathlib import Path

import pytest

from tests import conftest


@pytest.mark.parametrize(('code', 'file', 'library'), [
    ('import absent_library.models', 'tests/x.py', 'absent_library'),
    ('import absent_library', 'vit_plugin/x.py', None),  # which would be an import too many
    ('import absent_too', 'tests/x.py', None),  # not optional
    ('import torch.absent', 'tests/x.py', None),  # an installed library
    ('from torch import absent', 'tests/x.py', None),
    ('raise ValueError', 'tests/x.py', None),
])
def test_missing(code: str, file: str, library: str | None,
                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, 'OPTIONAL', ('absent_library', 'torch'))
    with pytest.raises((ImportError, ValueError)) as error:
        exec(compile(code, Path(conftest.ROOT, file), 'exec'))
    assert conftest.missing(error.value) == library
