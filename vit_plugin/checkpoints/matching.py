"""Matching converted weights with a backbone: prove first, copy later."""
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vit_plugin.errors import shorten
from vit_plugin.layers import resize_position

from .differences import differences, pretraining_differences
from .errors import CheckpointError
from .finite import is_finite
from .resizing import Size, find_window, fit_channels, fit_position, lacks_tokens, resize_table

# What checkpoints hold beside the weights of the layers: buffers, other tasks' tokens, poolers and
# decoders, norms of outputs nobody asks for.
EXPECTED = re.compile(r'(.*\.)?(attn_mask|relative_(position_index|coords_table))$|'
                      r'(cls|dist|mask)_token$|pooler\.|norm\d+\.|ln[12]\.|decoder(_\w+)?(\.|$)')
# What layers that only a checkpoint has tell of its model.
FOREIGN = {
    r'\.lora_': 'a LoRA: take vit_plugin.LoRA, or `vit-plugin convert --lora` to add it to the '
               'weights',
    r'logit_scale|cpb_mlp': 'Swin V2 (scaled cosine attention)',
    r'^stages\..*relative_position_bias_table': 'Swin V1 (a table of biases)',
    r'register_tokens$': 'a ViT with registers: take vit_plugin.DINOv2 or DINOv3, or '
                         'variant=dict(num_register_tokens=...)',
    r'\.ffn\.w(12|3)\.|fc1_[gx]': 'a ViT with SwiGLU feed-forward layers: '
                                 "variant=dict(ffn_type='swiglu')",
    r'^layers\.\d+\.attn\.(relative_position|rel_pos|[qv]_bias)|^rel_pos': 'a ViT with relative '
    'positions (BEiT, ViTDet, SAM)',
    r'[qk]_norm\.': 'a ViT that normalises queries and keys',
    r'^(norm_pre|pre_ln|pre_norm)\.': 'a ViT that normalises before its first block (CLIP)',
    r'\.gamma[12]\.': 'a ViT with LayerScale: give layer_scale_init_value > 0',
}
PATCH_BIAS = 'patch_embed.projection.bias'


@dataclass
class Match:
    """The weights that a backbone takes from a checkpoint, and the account of it."""

    layout: str
    share: float = 0.  # of the backbone's parameters that are in the checkpoint
    weights: dict[str, Tensor] = field(default_factory=dict)
    resized: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    initialised: list[str] = field(default_factory=list)
    windows: list[Size] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # values or shapes, with the reason
    unused: list[str] = field(default_factory=list)  # layers that only the checkpoint has

    def doubtful(self) -> bool:
        """True if outputs may differ from the source's.

        That is where layers keep their first values, but for norms of further outputs and a new
        token, or where `warnings` say why.
        """
        expected = re.compile(r'norm\d+\.|dist_token$|.* = 0$')
        return bool(self.warnings) or not all(map(expected.match, self.initialised))

    def summary(self) -> str:
        """One line: layout, share of the parameters matched, what else happened."""
        parts = [f'{self.layout}: {100 * self.share:.1f} % of the parameters matched']
        resized = [f'{count} x {what}' if count > 1 else what
                   for what, count in self.resized.items()]
        if resized:
            parts.append('resized ' + ', '.join(resized))
        for verb, names in (('skipped', self.skipped), ('initialised', self.initialised)):
            if names:
                parts.append(f'{verb} {shorten(names)}')
        return '; '.join(parts + self.notes + self.warnings)


def match(backbone: nn.Module, weights: Mapping[str, Tensor], layout: str,
          threshold: float = 0.9, source_grid: Size | None = None) -> Match:
    """Fit weights with OpenMMLab's names (``backbone.`` in front) to a backbone; copy nothing.

    Raises:
        UserError: less than ``threshold`` of the backbone's parameters are found, a shape
            differs and cannot be converted, a value is not finite, or the checkpoint has layers
            that the backbone has not.
    """
    source = {key.removeprefix('backbone.'): value for key, value in weights.items()
              if key.startswith('backbone.')}
    # LoRA's adapters keep their first values, unless the checkpoint has some
    own = {name: value for name, value in backbone.state_dict().items()
           if name in source or '.lora_' not in name}
    parameters = {name.replace('.base_layer.', '.') for name, _ in backbone.named_parameters()}
    result = Match(layout)
    take(source, own, backbone, result, source_grid)
    sizes = {name: value.numel() for name, value in own.items() if name in parameters}
    found = sum(size for name, size in sizes.items() if name in result.weights)
    result.share = found / sum(sizes.values())
    outside = {key.split('.')[0] for key in weights if not key.startswith('backbone.')}
    result.skipped += sorted(outside)
    leave(source, own, backbone, result)
    if 'pos_embed' in own and 'register_tokens' in source and 'pos_embed' not in source:
        result.wrong.append('pos_embed (absent: the checkpoint is of a ViT with rotary positions, '
                            'vit_plugin.DINOv3)')
    if hasattr(backbone, 'stages'):
        notes, warnings = differences(backbone, layout, result.windows)
        result.notes += notes
        result.warnings += warnings + pretraining_differences(source, own)
    if result.wrong or result.unused or result.share < threshold:
        raise CheckpointError('\n  '.join([
            f'the checkpoint ({layout}) does not fit {type(backbone).__name__}: '
            f'{100 * result.share:.1f} % of the parameters matched'
            + (f', {100 * threshold:g} % must' if result.share < threshold else ''),
            *reasons(result),
            f"first keys of the checkpoint, in OpenMMLab's names: {shorten(source)}",
            f'first keys of the backbone: {shorten(own)}']))
    return result


def reasons(result: Match) -> list[str]:
    """The kind of model that the checkpoint is of, if known, and the names that do not fit."""
    lines: list[str] = []
    for pattern, what in FOREIGN.items():
        if not lines and any(re.search(pattern, name) for name in result.unused):
            lines.append(f'the checkpoint is of {what}')
    for what, names in (('wrong values or shapes:', result.wrong),
                        ('only in the checkpoint:', result.unused),
                        ('only in the backbone:', result.initialised)):
        if names:
            lines.append(f'{what} {shorten(names)}')
    return lines


def take(source: Mapping[str, Tensor], own: Mapping[str, Tensor], backbone: nn.Module,
         result: Match, source_grid: Size | None) -> None:
    """Take each weight of the backbone that fits, and note those that do not, with the reasons."""
    for name, target in own.items():
        if name.endswith(('relative_position_index', 'relative_coords_table')):
            result.weights[name] = target
        elif name in source:
            value = fit(name, source, target, backbone, result, source_grid)
            if value.shape != target.shape:
                result.wrong.append(f'{name} {tuple(value.shape)} for {tuple(target.shape)}')
            elif not is_finite(value):
                result.wrong.append(f'{name} (not finite)')
            else:
                result.weights[name] = value
        elif name.endswith('.bias') and name.removesuffix('bias') + 'weight' in source:
            # a layer trained without a bias; zeros that have values, if the backbone is on 'meta'
            weight = source[name.removesuffix('bias') + 'weight']
            result.weights[name] = weight.new_zeros(target.shape)
            result.initialised.append(f'{name} = 0')
        else:
            result.initialised.append(name)


def leave(source: Mapping[str, Tensor], own: Mapping[str, Tensor], backbone: nn.Module,
          result: Match) -> None:
    """Note what the backbone has no place for: expected, with a warning, or wrong."""
    tokens_and_norms, unbuilt = [], []
    for name in source:
        if name in own:
            continue
        if re.match(r'\w+_token$|ln2\.|decoder', name):
            tokens_and_norms.append(name.split('.')[0])
        if name == 'register_tokens' and getattr(backbone, 'window_size', None) is not None:
            continue  # beside windows there are no tokens
        if is_unbuilt(name, backbone):
            unbuilt.append('.'.join(name.split('.')[:2]))
        elif name == PATCH_BIAS:  # mmseg's ViT has none, and leaves out that of all its checkpoints
            result.warnings.append(f'without the {PATCH_BIAS} of the source')
        elif not EXPECTED.match(name):
            result.unused.append(name)
    result.skipped += dict.fromkeys(tokens_and_norms + unbuilt)
    if 'ln2' in tokens_and_norms:
        result.warnings.append('ln2 (fc_norm) skipped: the source averages the patches before '
                               'this norm, and its head expects that')


def fit(name: str, source: Mapping[str, Tensor], target: Tensor, backbone: Any,
        result: Match, source_grid: Size | None) -> Tensor:
    """The value of ``name``, in the target's shape where there is a rule for that."""
    value = source[name]
    if not value.is_floating_point():
        raise CheckpointError(f'{name} is of type {value.dtype}, which no weight is')
    source_value = fitted = value
    old, new = tuple(value.shape), tuple(target.shape)
    if name.endswith('relative_position_bias_table') and value.ndim == 2:
        index = source.get(name.replace('bias_table', 'index'))
        window = find_window(value, index, backbone.window_size)
        result.windows.append(window)
        fitted = resize_table(value, window, backbone.window_size)
        old, new = window, backbone.window_size
        name = 'bias tables, window'
    elif name in ('pos_embed', 'absolute_pos_embed'):
        resize = getattr(getattr(backbone, 'variant', None), 'resize_position', resize_position)
        names = getattr(backbone, 'token_names', ())
        tokens = dict.fromkeys(('cls_token', 'dist_token', *names))
        have = tuple(token for token in tokens if token in source)
        # DeiT III (facebookresearch/deit, models_v2.py) adds no position to its class token. Every
        # DeiT III has LayerScale; a grid of 3x5 with a token is as long as one of 4x4 without.
        if 'layers.0.attn.gamma1.weight' in source and value.ndim == 3 and lacks_tokens(
                value.shape[1], len(have), backbone.grid, source_grid):
            value = torch.cat((value.new_zeros(1, len(have), value.shape[2]), value), dim=1)
            name = 'pos_embed of patches alone'
        fitted = fit_position(value, target, have, names, backbone.grid, source_grid, resize)
    elif name == 'patch_embed.projection.weight' and value.ndim == 4 \
            and value.shape[1] != target.shape[1]:
        fitted = fit_channels(value, target.shape[1])
    if fitted is not source_value:
        result.resized[f'{name} {old} -> {new}'] += 1
    return fitted


def is_unbuilt(name: str, backbone: Any) -> bool:
    """True for a weight of a layer that the architecture has beyond the last of ``out_indices``."""
    container, number, *rest = (name + '.').split('.')[:3]
    if container not in ('layers', 'stages') or not hasattr(backbone, container) \
            or not number.isdigit():
        return False
    built = len(getattr(backbone, container))
    depth = len(backbone.num_features) if container == 'stages' else backbone.last_layer + 1
    return built <= int(number) < depth or (int(number) == built - 1 and rest == ['downsample'])
