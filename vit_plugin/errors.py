"""What the plugin says to its users."""


class UserError(ValueError):
    """Something of the user's is wrong; the message says what, the value seen, and what is right.

    The commands print the message alone, without a traceback.
    """
