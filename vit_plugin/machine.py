"""On what machine a figure was measured."""
import os
import platform
from pathlib import Path

import torch


def machine() -> str:
    """Processor, GPU if there is one, and versions, in one line."""
    cpuinfo = Path('/proc/cpuinfo')
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    cpu = names[0] if names else platform.processor() or platform.machine()
    gpu = f', {torch.cuda.get_device_name()}' if torch.cuda.is_available() else ''
    return (f'{cpu}, {os.cpu_count()} cores{gpu}; torch {torch.__version__}, Python '
            f'{platform.python_version()}')
