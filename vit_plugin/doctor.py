"""A report on what is installed and whether it fits together: ``vit-plugin doctor``.

Needs nothing beside Python itself, so that it also runs where everything is missing. What it
prints can be pasted into an issue as it is.
"""
import argparse
import os
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path

from vit_plugin import __version__
from vit_plugin.toolkits import TOOLKITS, import_toolkit

# Import name -> the distributions that may bring it.
LIBRARIES = {
    'torch': ('torch',),
    'torchvision': ('torchvision',),
    'numpy': ('numpy',),
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite'),
    'mmcv.ops': (),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'transformers': ('transformers',),
    'timm': ('timm',),
    'peft': ('peft',),
    'onnxruntime': ('onnxruntime', 'onnxruntime-gpu'),
    'onnxscript': ('onnxscript',),
    'openvino': ('openvino',),
}
REQUIRED = ('torch', 'mmengine')


@dataclass
class Status:
    """One row of the table."""

    library: str
    version: str
    distribution: str
    status: str
    broken: bool = False


def examine(library: str) -> Status:
    """Import a library and say what was found."""
    installed = {}
    for name in LIBRARIES[library]:
        with suppress(metadata.PackageNotFoundError):
            installed[name] = metadata.version(name)
    distribution = ' + '.join(installed) or '-'
    if not installed and LIBRARIES[library]:
        if library in REQUIRED:
            return Status(library, '-', '-', 'MISSING, but needed', broken=True)
        return Status(library, '-', '-', 'not installed')
    if len(installed) > 1:
        return Status(library, '-', distribution, 'BROKEN: two distributions share this import '
                      'name; uninstall both, then install one', broken=True)
    version = next(iter(installed.values()), '-')
    try:
        # A toolkit itself imports where its models do not (mmpretrain beside other transformers).
        if library in TOOLKITS:
            import_toolkit(f'{library}.models')
        else:
            import_module(library)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ''
        return Status(library, version, distribution,
                      f'BROKEN: {type(error).__name__}: {reason}{hint(library)}', broken=True)
    return Status(library, version, distribution, 'ok')


def hint(library: str) -> str:
    """The usual cause, where there is one."""
    if library == 'mmcv.ops':
        return ' (mmcv was built without its ops or for another torch: build it again)'
    if library == 'torchvision':
        return ' (torch and torchvision must be a pair, e.g. 2.15.0 and 0.29.2)'
    if library == 'mmpretrain':
        return (" (onedl-mmpretrain needs 'transformers<5', mmpretrain 1.2.0 'transformers<4.45'; "
                f"there is {version_of('transformers')})")
    return ''


def version_of(distribution: str) -> str:
    """Its version, 'none' where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return 'none'


def environment() -> list[str]:
    """Lines on the plugin, Python, the operating system and the GPUs."""
    return [f'vit_plugin {__version__}',
            f'Python {sys.version.split()[0]} at {sys.executable}',
            f'{platform.platform()}, {processor()}',
            f'GPU: {gpus()}',
            f'back-ends: {backends()}']


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


def backends() -> str:
    """The back-ends of the operators: which can run here, and why the others cannot."""
    try:
        from vit_plugin.ops.backends import BACKENDS, DEFAULT, why_not
    except ImportError as error:
        return f'unknown, as torch does not import ({type(error).__name__})'
    words = []
    for name in BACKENDS:
        reason = why_not(name)
        state = 'yes' if name in DEFAULT else 'on request'
        if reason:
            state = f'no ({reason})'
        words.append(f'{name} {state}')
    return '; '.join(words)


def diagnose() -> list[Status]:
    """Examine the whole stack."""
    findings = {library: examine(library) for library in LIBRARIES}
    ops = findings['mmcv.ops']
    if findings['mmcv'].version == '-':
        findings['mmcv.ops'] = Status('mmcv.ops', '-', '-', 'not installed')
    elif ops.broken and findings['mmdet'].version == findings['mmseg'].version == '-':
        ops.status, ops.broken = 'absent; only mmdet and mmseg need them', False
    return list(findings.values())


def main() -> int:
    """Print what was found; return 1 when something needed is missing or broken, else 0."""
    argparse.ArgumentParser(prog='vit-plugin doctor', description='Show what is installed, and '
                            'whether it fits together.').parse_args()
    findings = diagnose()
    rows = [('library', 'version', 'distribution', 'status')]
    rows += [(f.library, f.version, f.distribution, f.status) for f in findings]
    widths = [max(map(len, column)) for column in zip(*rows)]
    print('For an issue, copy this block.\n```', *environment(), sep='\n')
    for row in rows:
        print('  '.join(map(str.ljust, row, widths)).rstrip())
    print('```')
    broken = [f.library for f in findings if f.broken]
    if broken:
        print(f'Not in order: {", ".join(broken)}.')
        return 1
    absent = [f.library for f in findings if f.library in TOOLKITS and f.version == '-']
    without = f' Without {", ".join(absent)} their configs cannot run.' if absent else ''
    print(f'Everything installed fits together.{without}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
