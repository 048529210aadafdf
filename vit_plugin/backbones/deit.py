"""DeiT: Touvron et al., "Training data-efficient image transformers & distillation through
attention", https://arxiv.org/abs/2012.12877."""
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.layers import Attention, PatchEmbed, TransformerBlock, rotary_position, run_block

from .archs import DEIT, resolve_arch
from .arguments import (
    Arch,
    Config,
    InitCfg,
    check_frozen_stages,
    check_heads,
    check_positive,
    check_rates,
    check_rotary,
    pair,
    patch_grid,
    resolve_global_blocks,
    resolve_indices,
    rising_rates,
)
from .base import Backbone, init_linear_and_norm
from .variants import ViTVariant

OUT_TYPES = ('cls_token', 'featmap', 'avg_featmap', 'raw')


class DeiT(Backbone):
    """(B, 3, H, W) -> one (B, C), or (B, C, h, w), for each of ``out_indices``.

    ::

        image -> patches ─┐           ┌─ register_tokens
        cls_token ────────┴─ + pos_embed -> L x TransformerBlock -> norm -> class token | map
                                               └─ rotary positions, in place of pos_embed

    State-dict keys are those of mmpretrain's ``VisionTransformer``. Blocks after the last of
    ``out_indices`` are not built, and the final norm belongs to the architecture's last block,
    so every parameter contributes to an output.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'``, or a dict with ``embed_dims``, ``num_layers``,
            ``num_heads`` and ``feedforward_channels``.
        img_size: Size of the position embedding's grid in pixels, one number or (height, width).
            Images of any size work; the embedding is interpolated to them.
        patch_size: One number or (height, width).
        in_channels: Channels of the image.
        out_indices: Blocks whose output is returned, rising; negative ones count from the end.
        out_type: ``'cls_token'`` for (B, C), ``'featmap'`` for the patches as (B, C, h, w),
            ``'avg_featmap'`` for the norm of their mean (B, C), ``'raw'`` for (B, N, C).
        drop_rate: Dropout after the position embedding, the attention and in the FFN.
        drop_path_rate: Stochastic depth of the last block, rising linearly from 0.
        layer_scale_init_value: Initial factor of LayerScale; 0 for none.
        frozen_stages: -1 freezes nothing; 0 the patch embedding, the tokens and the position
            embedding; k also the first k blocks; the depth also the final norm.
        with_cp: Save memory in training by computing the blocks' activations twice.
        window_size: For detection and segmentation on large images, as in ViTDet: patches attend
            within windows of one number or (height, width) of patches, except in the blocks of
            ``global_attn_indexes``. There are then no tokens, and ``out_type`` must be
            ``'featmap'``. ``None``: every block is global.
        global_attn_indexes: Blocks with global attention, where ``window_size`` is given;
            ``None`` for the last one of each quarter of the blocks (ViTDet's choice).
        variant: What toolkits' configs may vary beside, a dict of the attributes of
            `vit_plugin.backbones.variants.ViTVariant`.
        init_cfg: mmengine's; ``dict(type='Pretrained', checkpoint=...)`` loads weights.

    Raises:
        UserError: an argument, or an image, is not as above.
    """

    archs: Mapping[str, Config] = DEIT
    token_names: tuple[str, ...] = ('cls_token',)
    attention: type[Attention] = Attention  # a subclass may have another

    def __init__(self,
                 arch: Arch = 'base',
                 img_size: int | Sequence[int] = 224,
                 patch_size: int | Sequence[int] = 16,
                 in_channels: int = 3,
                 out_indices: int | Sequence[int] = -1,
                 out_type: str = 'cls_token',
                 drop_rate: float = 0.,
                 drop_path_rate: float = 0.,
                 layer_scale_init_value: float = 0.,
                 frozen_stages: int = -1,
                 with_cp: bool = False,
                 window_size: int | Sequence[int] | None = None,
                 global_attn_indexes: Sequence[int] | None = None,
                 variant: Config | None = None,
                 init_cfg: InitCfg = None) -> None:
        super().__init__(init_cfg)
        settings = resolve_arch(arch, self.archs)
        dims, depth = settings['embed_dims'], settings['num_layers']
        check_heads(dims, settings['num_heads'])
        check_positive(in_channels=in_channels)
        check_rates(drop_rate=drop_rate, drop_path_rate=drop_path_rate)
        check_frozen_stages(frozen_stages, depth)
        self.embed_dims = dims
        self.in_channels = in_channels
        self.out_indices = resolve_indices('out_indices', out_indices, depth)
        self.out_type = out_type
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp
        self.window_size = None if window_size is None else pair('window_size', window_size)
        self.variant = ViTVariant(**(variant or {}))
        self.last_layer = depth - 1
        self.check_output()
        self.head_dims = dims // settings['num_heads']
        if self.variant.position == 'rotary':
            check_rotary(self.head_dims)

        self.add_embedding(img_size, patch_size, drop_rate)
        self.layers = self.build_blocks(settings, drop_rate, drop_path_rate,
                                        layer_scale_init_value, global_attn_indexes)
        if len(self.layers) == depth and self.variant.final_norm:
            self.ln1 = self.variant.norm(dims)
        if out_type == 'avg_featmap':
            self.ln2 = self.variant.norm(dims)

        self.apply(init_linear_and_norm)
        for parameter in self.embeddings():
            nn.init.trunc_normal_(parameter, std=0.02)
        self.freeze()

    def forward(self, x: Tensor) -> tuple[Tensor | Sequence[Tensor], ...]:
        """(B, in_channels, H, W) -> a tuple with one entry for each of ``out_indices``."""
        x = self.patch_embed(self.check_input(x))
        grid = (x.shape[1], x.shape[2])
        x = self.pre_norm(self.drop_after_pos(self.add_tokens(x, grid)))
        rotation: tuple[Tensor, ...] = ()
        if self.variant.position == 'rotary':
            tokens = self.num_extra_tokens
            rotation = (rotary_position(grid, self.head_dims, tokens, device=x.device),)

        outs = []
        for i, block in enumerate(self.layers):
            x = run_block(block, x, self.with_cp, *rotation)
            if i == self.last_layer and self.variant.final_norm:
                x = self.ln1(x)
            if i in self.out_indices:
                outs.append(self.format_output(x, grid))
        return tuple(outs)

    def check_output(self) -> None:
        """Raise `UserError` unless ``out_type`` is one, and the model has what it asks for."""
        if self.out_type not in OUT_TYPES:
            raise UserError(f"out_type='{self.out_type}' is unknown: choose from {OUT_TYPES}")
        if self.out_type == 'cls_token' and not self.variant.with_cls_token:
            raise UserError("with_cls_token=False leaves no token for out_type='cls_token'")
        if self.window_size is not None and self.out_type != 'featmap':
            raise UserError(f"window_size={self.window_size} needs out_type='featmap', got "
                            f"'{self.out_type}': there are no tokens beside windows")

    def add_embedding(self, img_size: int | Sequence[int], patch_size: int | Sequence[int],
                      drop_rate: float) -> None:
        """Build what is before the first block: of the patches, the tokens and the positions."""
        variant, dims = self.variant, self.embed_dims
        patch, self.grid = patch_grid(img_size, patch_size)
        self.patch_embed = PatchEmbed(self.in_channels, dims, patch,
                                      variant.norm_of_patches, variant.patch_bias)
        if self.window_size is not None or not variant.with_cls_token:
            self.token_names = ()
        for name in self.token_names:
            self.register_parameter(name, nn.Parameter(torch.zeros(1, 1, dims)))
        if variant.position == 'absolute':
            num_positions = len(self.token_names) + self.grid[0] * self.grid[1]
            self.pos_embed = nn.Parameter(torch.zeros(1, num_positions, dims))
        registers = 0 if self.window_size is not None else variant.num_register_tokens
        if registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, registers, dims))
        self.num_extra_tokens = len(self.token_names) + registers
        self.drop_after_pos = nn.Dropout(drop_rate)
        self.pre_norm = variant.norm(dims) if variant.pre_norm else nn.Identity()

    def build_blocks(self, settings: Mapping[str, int], drop_rate: float, drop_path_rate: float,
                     layer_scale: float, global_indexes: Sequence[int] | None) -> nn.ModuleList:
        """The blocks up to the last of ``out_indices``."""
        dims, depth, variant = self.embed_dims, settings['num_layers'], self.variant
        rates = rising_rates(drop_path_rate, depth)
        global_blocks = resolve_global_blocks(self.window_size, global_indexes, depth)
        blocks = nn.ModuleList()
        for i in range(self.out_indices[-1] + 1):
            window = None if i in global_blocks else self.window_size
            attn = self.attention(
                dims, settings['num_heads'], drop_rate, layer_scale, variant.qkv_bias,
                variant.proj_bias, variant.attn_drop_rate, window, variant.key_bias)
            ffn = variant.ffn(dims, settings['feedforward_channels'], drop_rate, layer_scale)
            blocks.append(TransformerBlock(dims, attn, ffn, rates[i], variant.norm,
                                           variant.attn_drop_path))
        return blocks

    def embeddings(self) -> list[nn.Parameter]:
        """The learnt tokens and positions, (1, N, C) each."""
        names = (*self.token_names, 'pos_embed', 'register_tokens')
        return [getattr(self, name) for name in names if hasattr(self, name)]

    def add_tokens(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Patches (B, h, w, C) -> (B, tokens + h*w, C), or with windows as they are; positions."""
        first = len(self.token_names)
        if self.window_size is None:
            tokens = (getattr(self, name).expand(x.shape[0], -1, -1) for name in self.token_names)
            x = torch.cat((*tokens, x.flatten(1, 2)), dim=1)
        if self.variant.position == 'absolute':
            position = self.variant.resize_position(self.pos_embed, self.grid, grid, first)
            x = x + (position if self.window_size is None else position.unflatten(1, grid))
        if hasattr(self, 'register_tokens'):
            registers = self.register_tokens.expand(x.shape[0], -1, -1)
            x = torch.cat((x[:, :first], registers, x[:, first:]), dim=1)
        return x

    def format_output(self, x: Tensor, grid: tuple[int, int]) -> Tensor | Sequence[Tensor]:
        """(B, tokens + h*w, C), or (B, h, w, C) with windows -> what ``out_type`` asks for."""
        if self.out_type == 'raw':
            return x
        if self.out_type == 'cls_token':
            return x[:, 0]
        patches = x.flatten(1, -2)[:, self.num_extra_tokens:]
        if self.out_type == 'avg_featmap':
            x = self.ln2(patches.mean(1))
            return x
        out = patches.transpose(1, 2).reshape(x.shape[0], self.embed_dims, *grid)
        return [out, x[:, 0]] if self.variant.output_cls_token else out

    def frozen_parts(self) -> Iterable[nn.Module | nn.Parameter]:
        if self.frozen_stages < 0:
            return
        yield from (self.patch_embed, self.drop_after_pos, self.pre_norm)
        yield from self.embeddings()
        yield from list(self.layers)[:self.frozen_stages]
        if self.frozen_stages > self.last_layer:
            yield from (getattr(self, name) for name in ('ln1', 'ln2') if hasattr(self, name))

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise LR decay, and the number of depths.

        0 is the patch embedding, the tokens and the position; block i is i+1; all after is last.
        """
        num_depths = len(self.layers) + 2
        name = param_name.removeprefix(prefix)
        if not param_name.startswith(prefix) or name.startswith(('ln1.', 'ln2.')):
            return num_depths - 1, num_depths
        if name.startswith('layers.'):
            return int(name.split('.')[1]) + 1, num_depths
        return 0, num_depths
