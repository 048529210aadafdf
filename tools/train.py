"""Train with a config of mmpretrain, mmdet or mmseg: ``vit-plugin train`` from a clone."""
import sys

from vit_plugin.cli.main import run

if __name__ == '__main__':
    sys.exit(run('train'))
