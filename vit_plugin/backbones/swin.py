"""Swin: Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
https://arxiv.org/abs/2103.14030."""
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from vit_plugin.layers import (
    ACTIVATIONS,
    FeedForward,
    PatchEmbed,
    PatchMerging,
    ShiftedWindowAttention,
    SwinBlock,
    WindowAttention,
    run_block,
)

from .archs import resolve_stages
from .arguments import (
    Arch,
    Config,
    InitCfg,
    check_frozen_stages,
    check_positive,
    check_rates,
    pair,
    patch_grid,
    resolve_indices,
    rising_rates,
)
from .base import Backbone, init_linear_and_norm
from .variants import SwinVariant


class SwinStage(nn.Module):
    """(B, H, W, C) -> (B, H, W, C), the blocks of one stage.

    It owns the patch merging after them, too, which the backbone calls: a stage's own output is
    what its norm takes.
    """

    blocks: Sequence[nn.Module]

    def __init__(self, blocks: Iterable[nn.Module], downsample: nn.Module | None,
                 with_cp: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)  # type: ignore[assignment]
        self.downsample = downsample
        self.with_cp = with_cp

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = run_block(block, x, self.with_cp)
        return x

    def merge(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, ceil(H/2), ceil(W/2), 2C), what the next stage takes."""
        return x if self.downsample is None else run_block(self.downsample, x)


class SwinTransformer(Backbone):
    """(B, 3, H, W) -> (B, C_i, ceil(H/s_i), ceil(W/s_i)) for each of ``out_indices``.

    ::

        image -> patches -> stage 0 -> merge -> stage 1 -> merge -> stage 2 -> merge -> stage 3
                 stride 4      │                   │ 8                 │ 16                │ 32
                             norm0               norm1               norm2               norm3

    State-dict keys are those that mmpretrain, mmdet and mmseg share, channel order of the patch
    merging included. Stages after the last of ``out_indices`` are not built, and norms exist for
    ``out_indices`` only, so every parameter contributes to an output.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'``, ``'large'``, or a dict with ``embed_dims``,
            ``depths`` and ``num_heads``.
        img_size: Size of the absolute position embedding's grid in pixels, one number or
            (height, width). Images of any size work.
        patch_size: One number or (height, width).
        in_channels: Channels of the image.
        window_size: One number or (height, width).
        out_indices: Stages whose output is returned, rising; negative ones count from the end.
        pad_small_map: Shift windows also on maps that are no larger than one. ``False`` is
            mmpretrain's default and Hugging Face's way, ``True`` mmdet's and mmseg's.
            Either way a smaller map is padded. timm and torchvision equal ``False`` for maps of
            whole windows; see docs/checkpoints.md.
        drop_rate: Dropout after the patch embedding.
        drop_path_rate: Stochastic depth of the last block, rising linearly from 0.
        use_abs_pos_embed: Add an absolute position embedding to the patches.
        frozen_stages: -1 freezes nothing; 0 the patch embedding and the absolute position; k
            also the first k stages and their norms (mmdet's and mmseg's count).
        with_cp: Save memory in training by computing the blocks' activations twice.
        variant: What toolkits' configs may vary beside, a dict of the attributes of
            `vit_plugin.backbones.variants.SwinVariant`.
        init_cfg: mmengine's; ``dict(type='Pretrained', checkpoint=...)`` loads weights.

    Raises:
        UserError: an argument, or an image, is not as above.
    """

    stages: Sequence[SwinStage]
    attention: type[WindowAttention] = WindowAttention  # a subclass may have another
    block: type[SwinBlock] = SwinBlock
    merges_after = True  # False: patches are merged at the start of a stage
    num_extra_tokens = 0  # what mmpretrain's tools ask for

    def __init__(self,
                 arch: Arch = 'tiny',
                 img_size: int | Sequence[int] = 224,
                 patch_size: int | Sequence[int] = 4,
                 in_channels: int = 3,
                 window_size: int | Sequence[int] = 7,
                 out_indices: int | Sequence[int] = (0, 1, 2, 3),
                 pad_small_map: bool = False,
                 drop_rate: float = 0.,
                 drop_path_rate: float = 0.1,
                 use_abs_pos_embed: bool = False,
                 frozen_stages: int = -1,
                 with_cp: bool = False,
                 variant: Config | None = None,
                 init_cfg: InitCfg = None) -> None:
        super().__init__(init_cfg)
        dims, depths, heads = resolve_stages(arch)
        check_positive(in_channels=in_channels)
        check_rates(drop_rate=drop_rate, drop_path_rate=drop_path_rate)
        check_frozen_stages(frozen_stages, len(depths))
        self.num_features = [dims * 2**i for i in range(len(depths))]
        self.in_channels = in_channels
        self.window_sizes = self.resolve_windows(window_size, len(depths))
        self.out_indices = resolve_indices('out_indices', out_indices, len(depths))
        self.pad_small_map = pad_small_map
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp
        self.variant = SwinVariant(**(variant or {}))

        patch, self.grid = patch_grid(img_size, patch_size)
        self.patch_embed = PatchEmbed(in_channels, dims, patch, self.variant.norm_of_patches)
        if use_abs_pos_embed:
            num_positions = self.grid[0] * self.grid[1]
            self.absolute_pos_embed = nn.Parameter(torch.zeros(1, num_positions, dims))
            nn.init.trunc_normal_(self.absolute_pos_embed, std=0.02)
        self.drop_after_pos = nn.Dropout(drop_rate)

        stages = self.build_stages(depths, heads, drop_path_rate)
        self.stages = nn.ModuleList(stages)  # type: ignore[assignment]  # indexes like a sequence
        for i in self.out_indices:
            self.add_module(f'norm{i}', nn.LayerNorm(
                self.num_features[i], eps=self.variant.out_norm_eps or self.variant.norm_eps))

        self.apply(init_linear_and_norm)
        for name, parameter in self.named_parameters():
            if name.endswith('relative_position_bias_table'):
                nn.init.trunc_normal_(parameter, std=0.02)
        self.freeze()

    def resolve_windows(self, window_size: object, depth: int) -> list[tuple[int, int]]:
        """The window of each stage."""
        return depth * [pair('window_size', window_size)]

    @property
    def window_size(self) -> tuple[int, int]:
        """The window of the first stage."""
        return self.window_sizes[0]

    def build_stages(self, depths: Sequence[int], heads: Sequence[int], drop_path_rate: float
                     ) -> list[SwinStage]:
        """The stages up to the last of ``out_indices``."""
        drop_paths = rising_rates(drop_path_rate, sum(depths))
        stages = []
        for i in range(self.out_indices[-1] + 1):
            rates, drop_paths = drop_paths[:depths[i]], drop_paths[depths[i]:]
            blocks = [self.build_block(i, j, heads[i], rate) for j, rate in enumerate(rates)]
            stages.append(self.build_stage(i, blocks))
        return stages

    def build_stage(self, stage: int, blocks: Iterable[nn.Module]) -> SwinStage:
        """A stage with a patch merging at its end, unless it is the last."""
        merging = None
        if stage < self.out_indices[-1]:
            merging = PatchMerging(self.num_features[stage], self.variant.norm_of_patches)
        return SwinStage(blocks, merging, self.with_cp)

    def build_block(self, stage: int, index: int, num_heads: int, drop_path: float) -> nn.Module:
        """A block of a stage; those of odd index are shifted by half a window."""
        variant, channels = self.variant, self.num_features[stage]
        w_msa = self.build_attention(stage, num_heads)
        shift = (w_msa.window[0] // 2, w_msa.window[1] // 2) if index % 2 else (0, 0)
        attn = ShiftedWindowAttention(w_msa, shift, self.pad_small_map)
        ffn = FeedForward(channels, int(variant.mlp_ratio * channels), variant.ffn_drop_rate,
                          activation=ACTIVATIONS[variant.act])
        return self.block(channels, attn, ffn, drop_path, variant.norm)

    def build_attention(self, stage: int, num_heads: int) -> WindowAttention:
        """The attention in windows of a block."""
        variant = self.variant
        return self.attention(self.num_features[stage], num_heads, self.window_sizes[stage],
                              variant.qkv_bias, variant.qk_scale or None, variant.attn_drop_rate,
                              variant.proj_drop_rate)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, in_channels, H, W) -> a tuple with one map for each of ``out_indices``."""
        x = self.patch_embed(self.check_input(x))
        if hasattr(self, 'absolute_pos_embed'):
            size = (x.shape[1], x.shape[2])
            position = self.variant.resize_position(self.absolute_pos_embed, self.grid, size)
            x = x + position.unflatten(1, size)
        x = self.drop_after_pos(x)

        outs = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in self.out_indices:
                # Norms get and give (B, H*W, C), as in the toolkits, whose tools hook them.
                out = getattr(self, f'norm{i}')(x.flatten(1, 2)).unflatten(1, x.shape[1:3])
                outs.append(out.permute(0, 3, 1, 2).contiguous())
            x = stage.merge(x)
        return tuple(outs)

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        if self.frozen_stages < 0:
            return
        yield from (self.patch_embed, self.drop_after_pos)
        if hasattr(self, 'absolute_pos_embed'):
            yield self.absolute_pos_embed
        for i, stage in enumerate(self.stages[:self.frozen_stages]):
            yield stage
            if i in self.out_indices:
                yield getattr(self, f'norm{i}')

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise LR decay, and the number of depths.

        0 is the patch embedding and the absolute position; blocks count from 1 through all
        stages; a patch merging has the depth of the block before it; all after is last.
        """
        depths = [len(stage.blocks) for stage in self.stages]
        num_depths = sum(depths) + 2
        name = param_name.removeprefix(prefix)
        if not param_name.startswith(prefix) or name.startswith('norm'):
            return num_depths - 1, num_depths
        if not name.startswith('stages.'):
            return 0, num_depths
        _, stage, part, block, *_ = name.split('.')
        if part == 'downsample':
            return sum(depths[:int(stage) + self.merges_after]), num_depths
        return sum(depths[:int(stage)]) + int(block) + 1, num_depths
