"""Swin V2: Liu et al., "Swin Transformer V2: Scaling Up Capacity and Resolution",
https://arxiv.org/abs/2111.09883."""
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.layers import CosineWindowAttention, PatchMerging, SwinBlockV2

from .archs import resolve_stages
from .arguments import Arch, Config, InitCfg, is_integer
from .swin import SwinStage, SwinTransformer


def per_stage(name: str, value: object, depth: int, least: int) -> list[tuple[int, int]]:
    """(height, width) for each stage, of one number or of one for each stage.

    Raises:
        UserError: it is neither.
    """
    values = [value] * depth if isinstance(value, int) else value
    if (not isinstance(values, Sequence) or len(values) != depth
            or not all(is_integer(side, least) for side in values)):
        kind = 'positive integer' if least else 'integer, 0 or more'
        raise UserError(f'{name}={value!r} must be a {kind}, or one for each of the {depth} stages')
    return [(side, side) for side in values]


class SwinStageV2(SwinStage):
    """(B, H, W, C) -> (B, ceil(H/2), ceil(W/2), 2C), patch merging and the blocks of one stage."""

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(super().merge(x))
        return x

    def merge(self, x: Tensor) -> Tensor:
        """The map as it is: the next stage merges its patches itself."""
        return x


def split_arch(arch: Arch) -> tuple[Arch, int]:
    """The arch as V1 has it, and after how many blocks there is another norm; 0 for none."""
    if not isinstance(arch, Mapping):
        return arch, 0
    sizes = dict(arch)
    every = sizes.pop('extra_norm_every_n_blocks', 0)
    if not is_integer(every, 0):
        raise UserError(f'extra_norm_every_n_blocks={every!r} must be an integer, 0 for none')
    return sizes, every


class SwinTransformerV2(SwinTransformer):
    """(B, 3, H, W) -> (B, C_i, ceil(H/s_i), ceil(W/s_i)) for each of ``out_indices``.

    ::

        block of V1:   x + attention(norm(x)),       x + MLP(norm(x))
        block of V2:   x + norm(attention(x)),       x + norm(MLP(x))
        scores of V1:  q k / sqrt(head_dim)      +   table[offset]
        scores of V2:  factor * cosine(q, k)     +   16 sigmoid(MLP(log offset))

    State-dict keys are mmpretrain's. Stochastic depth drops the outputs of the norms, as in the
    official code; mmpretrain drops their inputs. Arguments not listed are those of
    `SwinTransformer`, as is everything else.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'``, ``'large'``, or a dict with ``embed_dims``,
            ``depths`` and ``num_heads``, and ``extra_norm_every_n_blocks`` where every so many
            blocks end in a norm.
        window_size: One number, or one for each stage. Maps smaller than a window are padded; the
            official code shrinks the window instead, from 16 to 8 in the last stage at 256: give
            ``(16, 16, 16, 8)``.
        pretrained_window_sizes: Window in pre-training, one number or one for each stage, where
            it was another; 0 for the same.

    Raises:
        UserError: an argument, or an image, is not as above.
    """

    block = SwinBlockV2
    merges_after = False

    def __init__(self,
                 arch: Arch = 'tiny',
                 img_size: int | Sequence[int] = 256,
                 patch_size: int | Sequence[int] = 4,
                 in_channels: int = 3,
                 window_size: int | Sequence[int] = 8,
                 pretrained_window_sizes: int | Sequence[int] = 0,
                 out_indices: int | Sequence[int] = (0, 1, 2, 3),
                 pad_small_map: bool = False,
                 drop_rate: float = 0.,
                 drop_path_rate: float = 0.1,
                 use_abs_pos_embed: bool = False,
                 frozen_stages: int = -1,
                 with_cp: bool = False,
                 variant: Config | None = None,
                 init_cfg: InitCfg = None) -> None:
        arch, self.extra_norm_every_n_blocks = split_arch(arch)
        depth = len(resolve_stages(arch)[1])
        self.pretrained_windows = per_stage('pretrained_window_sizes', pretrained_window_sizes,
                                            depth, least=0)
        super().__init__(arch, img_size, patch_size, in_channels, window_size, out_indices,
                         pad_small_map, drop_rate, drop_path_rate, use_abs_pos_embed,
                         frozen_stages, with_cp, variant, init_cfg)
        if self.variant.qk_scale is not None:
            raise UserError(f'qk_scale={self.variant.qk_scale!r} has no place in Swin V2, whose '
                            'scores are cosines times a learnt factor')
        # At first every block is the identity, as in the official code: with norms of weight 1
        # the training diverges (microsoft/Swin-Transformer#183).
        for module in self.modules():
            if isinstance(module, SwinBlockV2):
                nn.init.zeros_(module.norm1.get_parameter('weight'))
                nn.init.zeros_(module.norm2.get_parameter('weight'))

    def resolve_windows(self, window_size: object, depth: int) -> list[tuple[int, int]]:
        return per_stage('window_size', window_size, depth, least=1)

    def build_stage(self, stage: int, blocks: Iterable[nn.Module]) -> SwinStage:
        """A stage with a patch merging at its start, unless it is the first."""
        merging = None
        if stage:
            merging = PatchMerging(self.num_features[stage - 1], self.variant.norm_of_patches,
                                   post_norm=True)
        return SwinStageV2(blocks, merging, self.with_cp)

    def build_block(self, stage: int, index: int, num_heads: int, drop_path: float) -> nn.Module:
        block = super().build_block(stage, index, num_heads, drop_path)
        every = self.extra_norm_every_n_blocks
        if every and (index + 1) % every == 0:
            block.norm3 = self.variant.norm(self.num_features[stage])
        return block

    def build_attention(self, stage: int, num_heads: int) -> CosineWindowAttention:
        variant = self.variant
        return CosineWindowAttention(
            self.num_features[stage], num_heads, self.window_sizes[stage],
            self.pretrained_windows[stage], variant.qkv_bias, variant.attn_drop_rate,
            variant.proj_drop_rate)
