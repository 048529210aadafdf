"""Write a config as one file, without bases, for a config of your own to begin with.

Usage: vit-plugin config NAME FILE.py

The file is a base of either kind: ``_base_ = 'FILE.py'``, or ``from .FILE import *`` in
``with read_base():``, if its name is one that Python can import.
"""
import argparse
from pathlib import Path

from vit_plugin.configs import read_config
from vit_plugin.files import check_new, written_whole

from .arguments import add_debug
from .messages import explained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help="a file, or the name of one of the plugin's configs")
    parser.add_argument('file', metavar='FILE.py', type=Path, help='file to write')
    add_debug(parser)
    args = parser.parse_args()
    if args.file.suffix != '.py':
        parser.error(f"the file must end in .py, got '{args.file}'")
    with explained(args):
        write_config(args.config, args.file)
        print(f'{args.config} -> {args.file}')


def write_config(name: str, file: Path) -> None:
    """Write a config with all that its bases hold.

    Raises:
        UserError: there is no such config, or the file is there already.
    """
    check_new(file)
    text = read_config(name).pretty_text
    with written_whole(file) as output:
        output.write(f'# {name}, with its bases.\n{text}'.encode())
