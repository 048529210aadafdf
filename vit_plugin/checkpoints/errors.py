"""What goes wrong with checkpoints."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read, is not recognised, or does not fit its model."""
