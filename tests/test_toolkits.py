"""What toolkits print while they are imported."""
from pathlib import Path

import pytest

from vit_plugin.toolkits import NOISE, import_toolkit


def test_all_but_the_known_noise_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture) -> None:
    (tmp_path / 'talking_toolkit.py').write_text(
        f"print({NOISE!r})\nprint('Beware')\nprint('{NOISE}. Skipping')\nX = 1")
    (tmp_path / 'broken_toolkit.py').write_text("print('Beware')\nimport absent_library")
    monkeypatch.syspath_prepend(tmp_path)
    assert import_toolkit('talking_toolkit').X == 1
    assert capsys.readouterr().out == 'Beware\n'
    with pytest.raises(ModuleNotFoundError, match='absent_library'):
        import_toolkit('broken_toolkit')
    assert capsys.readouterr().out == 'Beware\n'
