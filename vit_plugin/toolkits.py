"""OpenMMLab's toolkits, and how the plugin imports them."""
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from types import ModuleType

TOOLKITS = ('mmpretrain', 'mmdet', 'mmseg')
# How lines begin that `datasets` of onedl-mmpretrain 1.3.6, onedl-mmdetection 3.5.1 and
# onedl-mmsegmentation 1.4.2 print where the package onedl is absent, which nothing here needs. They
# are meant for debugging only, but mmengine's print_log prints whatever it gets without a logger.
NOISE = 'Could not import OneDL'


def import_toolkit(name: str) -> ModuleType:
    """Import a module; what is printed meanwhile is shown, but for `NOISE`."""
    printed = StringIO()
    try:
        with redirect_stdout(printed):
            return import_module(name)
    finally:
        print(*(line for line in printed.getvalue().splitlines(keepends=True)
                if not line.startswith(NOISE)), sep='', end='')
