"""Train small models of all tasks: ``vit-plugin demo`` from a clone."""
from vit_plugin.cli.demo import main

if __name__ == '__main__':
    main()
