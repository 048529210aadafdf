"""``python -m vit_plugin``: the command line."""
import sys

from .cli.main import main

sys.exit(main())
