"""Evaluate a checkpoint: ``vit-plugin test`` from a clone."""
from vit_plugin.cli.test import main

if __name__ == '__main__':
    main()
