"""The published sizes."""
from collections.abc import Mapping, Sequence

from vit_plugin.errors import UserError

from .arguments import Arch, Config, check_heads, check_positive

# DeiT, table 1.                 C                layers           heads            FFN
DEIT: dict[str, Config] = {
    'tiny':  dict(embed_dims=192, num_layers=12, num_heads=3,  feedforward_channels=768),
    'small': dict(embed_dims=384, num_layers=12, num_heads=6,  feedforward_channels=1536),
    'base':  dict(embed_dims=768, num_layers=12, num_heads=12, feedforward_channels=3072),
}
DEIT |= {f'deit-{name}': sizes for name, sizes in DEIT.items()}  # mmpretrain's names for them

# hub/backbones.py of facebookresearch/dinov2 and dinov3; with SwiGLU, channels after the gate.
DINOV2: dict[str, Config] = {
    'small': dict(embed_dims=384,  num_layers=12, num_heads=6,  feedforward_channels=1536),
    'base':  dict(embed_dims=768,  num_layers=12, num_heads=12, feedforward_channels=3072),
    'large': dict(embed_dims=1024, num_layers=24, num_heads=16, feedforward_channels=4096),
    'giant': dict(embed_dims=1536, num_layers=40, num_heads=24, feedforward_channels=4096),
}
DINOV3: dict[str, Config] = {
    'small':      DINOV2['small'],
    'small-plus': DINOV2['small'],
    'base':       DINOV2['base'],
    'large':      DINOV2['large'],
    'huge-plus':  dict(embed_dims=1280, num_layers=32, num_heads=20, feedforward_channels=5120),
}
SWIGLU = ('giant', 'small-plus', 'huge-plus')

# Swin, section 3.3 ("Architecture Variants"), and Swin V2, section 3.5.
SWIN: dict[str, Config] = {
    'tiny':  dict(embed_dims=96,  depths=(2, 2, 6, 2),  num_heads=(3, 6, 12, 24)),
    'small': dict(embed_dims=96,  depths=(2, 2, 18, 2), num_heads=(3, 6, 12, 24)),
    'base':  dict(embed_dims=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32)),
    'large': dict(embed_dims=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48)),
}


def resolve_arch(arch: Arch, known: Mapping[str, Config]) -> Config:
    """Look a size up by its name, or check one given as a dict.

    Raises:
        UserError: an unknown name, a dict with other keys or other kinds of values than the known
            sizes have, or neither of them.
    """
    example = next(iter(known.values()))
    if isinstance(arch, str):
        if arch not in known:
            raise UserError(f"arch='{arch}' is unknown: choose from {', '.join(known)}, "
                            f'or give a dict with {list(example)}')
        return dict(known[arch])
    if not isinstance(arch, Mapping):
        raise UserError(f'arch must be a name or a dict, got {arch!r}')
    if set(arch) != set(example):
        raise UserError(f'arch has the keys {sorted(arch)}, but must have {list(example)}')
    check_positive(**arch)
    for name, size in example.items():
        if isinstance(arch[name], Sequence) != isinstance(size, Sequence):
            raise UserError(f'arch has {name}={arch[name]!r}, but must have something like '
                            f'{size!r}')
    return dict(arch)


def resolve_stages(arch: Arch) -> tuple[int, Sequence[int], Sequence[int]]:
    """The channels of the first stage, and of every stage the depth and the number of heads.

    Raises:
        UserError: ``arch`` is unknown, or its numbers do not go together.
    """
    settings = resolve_arch(arch, SWIN)
    dims, depths, heads = (settings[k] for k in ('embed_dims', 'depths', 'num_heads'))
    if len(depths) != len(heads):
        raise UserError(f'arch has {len(depths)} depths, but {len(heads)} num_heads')
    for i, num_heads in enumerate(heads):
        check_heads(dims * 2**i, num_heads)
    return dims, depths, heads
