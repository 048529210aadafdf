"""What the plugin raises where something of the user's is wrong."""


class UserError(ValueError):
    """The message says what is wrong, the value seen, and what would be right.

    The commands print the message alone, without a traceback.
    """
