"""The error for mistakes in configs, data and arguments."""


class UserError(ValueError):
    """The message says what is wrong, the value seen, and what would be right.

    The commands print the message alone, without a traceback.
    """
