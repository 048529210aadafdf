"""``vit-plugin COMMAND ...``"""
import sys
from importlib import import_module

from vit_plugin import __version__
from vit_plugin.toolkits import missing_library

# Command -> the module whose main() it is, and what it does.
COMMANDS = {
    'train': ('vit_plugin.cli.train', 'train with a config of mmpretrain, mmdet or mmseg'),
    'test': ('vit_plugin.cli.test', 'evaluate a checkpoint'),
    'probe': ('vit_plugin.cli.probe', 'fit a linear layer to features that are computed once'),
    'convert': ('vit_plugin.cli.convert', 'convert a checkpoint to the layout of another library'),
    'export': ('vit_plugin.cli.export', 'write a model for ONNX Runtime or OpenVINO'),
    'config': ('vit_plugin.cli.write_config', 'write a config as one file, to base yours on'),
    'visualize': ('vit_plugin.cli.visualize', 'draw what a model does'),
    'benchmark': ('vit_plugin.cli.benchmark', 'time the backbones beside those of others'),
    'demo': ('vit_plugin.cli.demo', 'train small models of all tasks, and show their results'),
    'doctor': ('vit_plugin.doctor', 'what is installed, and whether it fits together'),
}


def usage() -> str:
    """One line for each command."""
    lines = [f'  {name:10} {text}' for name, (_, text) in COMMANDS.items()]
    return '\n'.join(['usage: vit-plugin COMMAND ...', '', *lines, '',
                      'vit-plugin COMMAND --help shows the options of one; --version the version.'])


def main() -> int | None:
    """Run the command that the command line names."""
    command, *arguments = sys.argv[1:] or ['']
    if command in ('-h', '--help'):
        print(usage())
        return 0
    if command == '--version':
        print(__version__)
        return 0
    if command not in COMMANDS:
        print(usage(), *([f"\nThere is no command '{command}'."] if command else []),
              sep='\n', file=sys.stderr)
        return 2
    sys.argv = [f'vit-plugin {command}', *arguments]  # argparse takes the name for its usage
    return run(command)


def run(command: str) -> int | None:
    """Run a command with the arguments of ``sys.argv``; nothing else is imported for it."""
    try:
        module = import_module(COMMANDS[command][0])
    except ModuleNotFoundError as error:
        message = missing_library(error)
        if message is None:
            raise
        print(f'Error: {message}.', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nStopped by Ctrl-C.', file=sys.stderr)
        return 130
    return module.main()
