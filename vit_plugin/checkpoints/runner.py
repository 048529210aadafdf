"""Let mmengine's runners read checkpoints as data, never as code.

mmengine 0.10 reads a file unsafely with torch < 2.6, and later whenever it needs code. Unlike the
rest of the package this needs mmengine with OpenCV.
"""
import logging
from collections.abc import Callable
from typing import Any

from mmengine.dist import barrier, get_rank
from mmengine.logging import print_log
from mmengine.runner.checkpoint import (
    CheckpointLoader,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

from .errors import CheckpointError
from .reading import Location, read_checkpoint

# Prefix of a model zoo -> its table of addresses.
ZOOS: dict[str, Callable[[], dict[str, str]]] = {
    'modelzoo://': get_torchvision_models, 'torchvision://': get_torchvision_models,
    'open-mmlab://': get_external_models, 'openmmlab://': get_external_models,
    'mmcls://': get_mmcls_models,
}
# mmengine reads these unsafely.
REFUSED = ('pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://')


def read_as_data(trusted: str | None = None) -> None:
    """Let whatever mmengine loads in this process be read by `read_checkpoint`.

    That is ``load_from``, resuming, ``init_cfg=dict(type='Pretrained')`` and what toolkits load
    themselves. Loaders are exchanged where mmengine has it that users do so.

    Args:
        trusted: The one file or address whose code may run.
    """
    def load_from_data(filename: str, map_location: Location = None) -> dict[str, object]:
        return load(filename, map_location, trust=filename == trusted)

    CheckpointLoader.register_scheme(['', 'http://', 'https://', *ZOOS], load_from_data, force=True)
    CheckpointLoader.register_scheme(list(REFUSED), load_from_elsewhere, force=True)


def load(filename: str, map_location: Location = None, trust: bool = False
         ) -> dict[str, Any]:
    """Read the content of a file, an address, or the name of a model in a zoo.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it cannot be read, or needs code.
    """
    zoo, separator, name = filename.partition('://')
    zoo += separator
    address = find_address(zoo, name) if zoo in ZOOS else filename
    remote = '://' in address
    if remote and get_rank() > 0:
        barrier()  # the first process downloads
    content = read_checkpoint(address, map_location, trust)
    if remote and get_rank() == 0:
        barrier()
    if not isinstance(content, dict):
        raise CheckpointError(f"'{filename}' holds {type(content).__name__}, not a dict")
    if not trust and isinstance(content.get('meta'), dict) and 'config' in content['meta']:
        del content['meta']['config']
        print_log(f"'{filename}': meta.config is left out, which mmengine would run as Python when "
                  'it resumes', 'current', logging.WARNING)
    if zoo == 'mmcls://':  # these are classifiers, for backbones
        weights = content.get('state_dict', content).items()
        content = dict(state_dict={key.removeprefix('backbone.'): value
                                   for key, value in weights if key.startswith('backbone.')})
    return content


def find_address(zoo: str, name: str) -> str:
    """The address of a model in a zoo; `UserError` if there is no such model."""
    addresses = ZOOS[zoo]()
    if name not in addresses:
        name = get_deprecated_model_names().get(name, name)
    if name not in addresses:
        raise CheckpointError(f"there is no model '{name}' in {zoo}")
    return addresses[name]


def load_from_elsewhere(filename: str, map_location: object = None) -> None:
    """Refuse a storage that cannot be read as data."""
    raise CheckpointError(f"'{filename}' cannot be read as data: bring the file here, and name it")
