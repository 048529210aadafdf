"""What the loader logs."""
from collections.abc import Callable, Iterator

import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Callable]:
    """``log()``: the loader's lines so far, or those with another text.

    mmengine's logger does not propagate to pytest's by itself.
    """
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda text=' <- ': [record for record in caplog.records if text in record.getMessage()]
    logger.removeHandler(caplog.handler)
