"""Whose arguments a config has: the package's own, or one of the toolkits'."""
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import Any, TypeAlias

from mmengine.logging import print_log
from mmengine.registry import DefaultScope

from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS

from ..arguments import Config

# A function from a toolkit's arguments to the package's.
Form: TypeAlias = Callable[..., Config]


def register(backbone: type, **forms: Form) -> None:
    """Register ``backbone`` so that a config may have its own arguments, or those of a toolkit.

    A keyword that only a toolkit's class has tells whose arguments they are; without one, it is the
    toolkit whose model is built (the config's ``default_scope``), and the choice is logged.

    Args:
        backbone: The class; called directly, it takes its own arguments.
        forms: The function that translates its arguments, for each toolkit.
    """
    @wraps(backbone, updated=())
    def build(**arguments: Any) -> Any:
        return backbone(**translate(backbone, arguments, forms))

    MODELS.register_module(backbone.__name__, module=build)


def translate(backbone: type, arguments: Mapping[str, Any],
              forms: Mapping[str, Form]) -> Config:
    """``arguments`` as ``backbone`` itself takes them.

    Raises:
        UserError: nobody has an argument of that name.
        UserError: they are of several toolkits, or the architecture has no place for a value.
    """
    takes = {toolkit: set(signature(form).parameters) for toolkit, form in forms.items()}
    telling = set(arguments) - set(signature(backbone).parameters)
    unknown = telling.difference(*takes.values())
    if unknown:
        raise UserError(f'{backbone.__name__} has no argument {", ".join(sorted(unknown))}')
    fitting = [toolkit for toolkit in forms if telling <= takes[toolkit]]
    if not fitting:
        owners: dict[str, list[str]] = {name: [] for name in sorted(telling)}
        for name, toolkits in owners.items():
            toolkits += [toolkit for toolkit in forms if name in takes[toolkit]]
        raise UserError(f'{backbone.__name__} has got arguments of several toolkits: {owners}')
    scope = DefaultScope.get_current_instance()
    toolkit = scope.scope_name if scope is not None else None
    if toolkit not in fitting:
        if not telling:
            return dict(arguments)
        toolkit = fitting[0]

    ours = {name: value for name, value in arguments.items() if name not in takes[toolkit]}
    theirs = {name: value for name, value in arguments.items() if name in takes[toolkit]}
    translated = forms[toolkit](**theirs)
    clash = sorted(set(ours) & set(translated))
    if clash and not telling:
        return dict(arguments)
    if clash:
        raise UserError(f"{', '.join(clash)} of vit_plugin cannot stand beside "
                        f"{', '.join(sorted(telling))} of {toolkit}: use the names of one")
    if len({forms[other] for other in fitting}) > 1 or not telling:
        print_log(f"{backbone.__name__}: arguments are read as {toolkit}'s, whose model is built",
                  logger='current')
    return {**translated, **ours}
