"""What is logged."""
from collections.abc import Iterator

import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What mmengine's current logger says; it is not left to the tests that follow."""
    MMLogger.get_instance('backbones').addHandler(caplog.handler)
    yield caplog
    del MMLogger._instance_dict['backbones']
