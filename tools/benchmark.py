"""Time the backbones beside those of other libraries: ``vit-plugin benchmark`` from a clone."""
from vit_plugin.cli.benchmark import main

if __name__ == '__main__':
    main()
