"""Draw what a model does: ``vit-plugin visualize`` from a clone."""
from vit_plugin.cli.visualize import main

if __name__ == '__main__':
    main()
