"""Time the backbones beside those of other libraries: ``vit-plugin benchmark`` from a clone."""
import sys

from vit_plugin.cli.main import run

if __name__ == '__main__':
    sys.exit(run('benchmark'))
