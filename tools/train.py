"""Train with a config of mmpretrain, mmdet or mmseg: ``vit-plugin train`` from a clone."""
from vit_plugin.cli.train import main

if __name__ == '__main__':
    main()
