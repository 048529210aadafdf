"""Classes of toolkits by their names, without importing the toolkits."""
from torch import nn


def names_of(module: nn.Module) -> set[str]:
    """Library and name of a module's class and of those that it inherits from."""
    return {f'{kind.__module__.split(".")[0]}.{kind.__name__}' for kind in type(module).__mro__}
