"""The command line: ``vit-plugin train``, ``vit-plugin test``, ... A module is a command."""
