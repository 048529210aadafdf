"""Names of the processor and the GPUs; imports torch only when asked."""
import os
import platform
from pathlib import Path


def machine() -> str:
    """Processor, GPU if there is one, and versions, in one line; says where a figure is from."""
    import torch
    gpu = f', {torch.cuda.get_device_name()}' if torch.cuda.is_available() else ''
    return f'{processor()}{gpu}; torch {torch.__version__}, Python {platform.python_version()}'


def processor() -> str:
    """The processor and the number of its cores."""
    cpuinfo = Path('/proc/cpuinfo')
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    cpu = names[0] if names else platform.processor() or platform.machine()
    return f'{cpu}, {os.cpu_count()} cores'


def gpus() -> str:
    """The GPUs that torch can use, or why it can use none."""
    try:
        import torch
        if torch.cuda.is_available():
            found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
            names = ', '.join(f'{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)' for gpu in found)
            return f'{names}; torch is built for CUDA {torch.version.cuda}'
        built = f'CUDA {torch.version.cuda}' if torch.version.cuda else 'no CUDA'
        return (f'none that torch can use (it is built for {built}; if nvidia-smi shows one, the '
                'driver is too old for that)')
    except Exception as error:
        return f'unknown, as torch does not import ({type(error).__name__})'
