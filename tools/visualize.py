"""Draw what a model does: ``vit-plugin visualize`` from a clone."""
import sys

from vit_plugin.cli.main import run

if __name__ == '__main__':
    sys.exit(run('visualize'))
