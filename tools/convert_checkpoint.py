"""Convert a checkpoint to another library's layout: ``vit-plugin convert`` from a clone."""
from vit_plugin.cli.convert import main

if __name__ == '__main__':
    main()
