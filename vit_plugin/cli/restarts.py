"""Restarts by torchrun, which are in vain after an error of the user."""
import atexit
import os
import signal


def end_restarts() -> None:
    """End torchrun, which would restart the processes, when this one ends and has said why.

    Its agent, the parent of each process, gives them both variables.
    """
    by_torchrun = 'TORCHELASTIC_RUN_ID' in os.environ
    if by_torchrun and os.environ.get('TORCHELASTIC_MAX_RESTARTS', '0') != '0':
        atexit.register(os.kill, os.getppid(), signal.SIGTERM)
