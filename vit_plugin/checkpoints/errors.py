"""The error for checkpoints that cannot be used."""
from vit_plugin.errors import UserError


class CheckpointError(UserError):
    """A checkpoint cannot be read, is not recognised, or does not fit its model."""
