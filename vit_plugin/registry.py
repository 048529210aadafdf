"""The plugin's registries: children of mmengine's, with the scope ``vit_plugin``.

mmengine imports this file by itself when it meets ``type='vit_plugin.X'``, so a stock
mmpretrain, mmdet or mmseg config needs no ``custom_imports``.
"""
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import mmengine.registry as mmengine_registry
from mmengine.registry import Registry

from vit_plugin.errors import did_you_mean
from vit_plugin.toolkits import how_to_install

# The module that each part of the plugin needs beside torch and mmengine.
PARTS: dict[str, str | None] = {
    'vit_plugin.backbones': None,
    'vit_plugin.backbones.simple_pyramid': None,
    'vit_plugin.backbones.heads': 'mmpretrain',
    'vit_plugin.backbones.float32': 'mmdet',
    'vit_plugin.training.autocast': None,
    'vit_plugin.training.layer_decay': None,
    'vit_plugin.training.checkpoints': 'cv2',
    'vit_plugin.training.data_time': 'cv2',
    'vit_plugin.training.finite_loss': 'cv2',
    'vit_plugin.training.sampling': 'cv2',
    'vit_plugin.training.seeding': 'cv2',
    'vit_plugin.checks.transforms': None,
    'vit_plugin.checks.hook': 'cv2',
    'vit_plugin.data.loading': 'mmcv',
    'vit_plugin.data.pixels': 'mmcv',
    'vit_plugin.data.crop': 'mmpretrain',
    'vit_plugin.data.augment': 'mmpretrain',
    'vit_plugin.data.segmentation': 'mmseg',
    'vit_plugin.data.detection': 'mmdet',
    'vit_plugin.data.masks': 'mmdet',
    'vit_plugin.data.folders': 'mmpretrain',
    'vit_plugin.data.packed': 'mmpretrain',
    'vit_plugin.data.hugging_face': 'mmpretrain',
    'vit_plugin.data.coco': 'mmdet',
    'vit_plugin.distillation': 'cv2',
    'vit_plugin.distillation.classifier': 'mmpretrain',
}


class PluginRegistry(Registry):
    """A registry that imports one part after the other until it finds a name.

    A part whose library is absent (or does not import) hinders nothing but itself.
    """

    def import_from_location(self) -> None:
        """Import every part that can be imported; called before the registry is listed."""
        self._import_parts()

    def get(self, key: str) -> Any:
        """Look ``key`` up, with or without the scope ``vit_plugin.``.

        Raises:
            ImportError: nothing of that name was found and parts could not be imported; the
                message names them and the library each one needs.
        """
        scope, name = self.split_scope_key(key)
        if scope not in (None, self.scope):
            return self.root.get(key)
        failures = self._import_parts(until=name)
        found = self.module_dict.get(name) or self.root.module_dict.get(name)
        if found is None and failures:
            reasons = '\n'.join(f"  {part} needs '{PARTS[part]}' ({type(error).__name__}: {error})"
                                for part, error in failures.items())
            near = did_you_mean(name, self.module_dict) or '.'
            raise ImportError(
                f"'{name}' is not in the {self.name} registry of vit_plugin{near} "
                f'These parts of it could not be imported:\n{reasons}\n'
                f'Install what is missing, e.g. {how_to_install("all")}.')
        return found

    def _import_parts(self, until: str | None = None) -> dict[str, Exception]:
        """Import the parts and return those that failed with their errors.

        Those whose library is in use come first, so that a detector does not load mmpretrain.
        """
        failures: dict[str, Exception] = {}
        in_use = (None, *sys.modules)
        for part, library in sorted(PARTS.items(), key=lambda item: item[1] not in in_use):
            if until is not None and until in self.module_dict:
                break
            try:
                import_module(part)
            except Exception as error:  # toolkits raise AssertionError for a wrong mmcv version
                if library is None:
                    raise
                failures[part] = error
        return failures


MODELS = PluginRegistry('model', parent=mmengine_registry.MODELS, scope='vit_plugin')
HOOKS = PluginRegistry('hook', parent=mmengine_registry.HOOKS, scope='vit_plugin')
OPTIM_WRAPPER_CONSTRUCTORS = PluginRegistry(
    'optimizer wrapper constructor',
    parent=mmengine_registry.OPTIM_WRAPPER_CONSTRUCTORS, scope='vit_plugin')
OPTIM_WRAPPERS = PluginRegistry(
    'optim_wrapper', parent=mmengine_registry.OPTIM_WRAPPERS, scope='vit_plugin')
DATASETS = PluginRegistry('dataset', parent=mmengine_registry.DATASETS, scope='vit_plugin')
DATA_SAMPLERS = PluginRegistry(
    'data sampler', parent=mmengine_registry.DATA_SAMPLERS, scope='vit_plugin')
TRANSFORMS = PluginRegistry('transform', parent=mmengine_registry.TRANSFORMS, scope='vit_plugin')
METRICS = PluginRegistry('metric', parent=mmengine_registry.METRICS, scope='vit_plugin')


def missing_type(name: str, scope: str | None, registry: str) -> str:
    """The message for a ``type`` that is in no registry of a kind, with names that come close."""
    known = []
    for owner, classes in registered(registry, scope):
        prefix = f'{owner}.' if owner == 'vit_plugin' != scope else ''
        known += [prefix + key for key in classes]
    return (f"the config asks for type='{name}', but there is no such {registry}"
            + did_you_mean(name, known, without_scope))


def registered(kind: str | None = None,
               scope: str | None = None) -> Iterator[tuple[str | None, dict[str, type]]]:
    """(scope, name -> class) of mmengine's registries, the plugin's and those of a scope.

    Args:
        kind: ``'model'``, ``'hook'`` ...; None for all.
        scope: That of a toolkit; importing them all would take long.
    """
    for root in vars(mmengine_registry).values():
        if isinstance(root, Registry) and kind in (None, root.name):
            yield root.scope, root.module_dict
            for child in list(root.children.values()):  # an import may add some
                if child.scope in (scope, 'vit_plugin'):
                    child.import_from_location()
                    yield child.scope, child.module_dict


def without_scope(name: str) -> str:
    """``'vit_plugin.DeiT'`` -> ``'deit'``."""
    return name.rsplit('.', 1)[-1].lower()
