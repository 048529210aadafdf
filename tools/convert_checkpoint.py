"""Convert a checkpoint to another library's layout: ``vit-plugin convert`` from a clone."""
import sys

from vit_plugin.cli.main import run

if __name__ == '__main__':
    sys.exit(run('convert'))
