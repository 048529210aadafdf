"""The toolkits as the commands import them."""
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from types import ModuleType

# What `datasets` of onedl-mmpretrain 1.3.6 and onedl-mmsegmentation 1.4.2 says where the package
# onedl is absent, which nothing here needs. It is meant for debugging only, but mmengine's
# print_log prints whatever it gets without a logger.
NOISE = 'Could not import OneDL\n'


def import_toolkit(name: str) -> ModuleType:
    """Import a toolkit or a module of one; what it prints meanwhile is shown, but for `NOISE`."""
    printed = StringIO()
    try:
        with redirect_stdout(printed):
            return import_module(name)
    finally:
        print(printed.getvalue().replace(NOISE, ''), end='')
