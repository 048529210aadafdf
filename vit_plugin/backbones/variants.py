"""Options of the toolkits' configs that the papers do not vary."""
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.layers import ACTIVATIONS, FeedForward, SwiGLU, resize_position

from .arguments import check_choice, check_rates, is_integer

INTERPOLATION = ('bilinear', 'bicubic')
FFN_TYPES = ('mlp', 'swiglu')
POSITIONS = ('absolute', 'rotary')


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Options of both architectures.

    Attributes:
        qkv_bias: True for a bias of queries, keys and values.
        attn_drop_rate: Dropout of the attention weights.
        act: Activation in the MLP: ``'GELU'``, ``'QuickGELU'`` or ``'ReLU'``.
        norm_eps: Epsilon of the norms.
        interpolate_mode: How the position embedding is fitted to another image size:
            ``'bicubic'`` or ``'bilinear'``.
        interpolate_antialias: True to smooth the embedding where that makes it smaller.
        interpolate_offset: Added to the sizes before their ratio is taken: DINOv2's 0.1.
        patch_norm: True for a norm in the patch embedding, and in Swin's patch merging.
    """

    qkv_bias: bool = True
    attn_drop_rate: float = 0.
    act: str = 'GELU'
    norm_eps: float = 1e-6
    interpolate_mode: str = 'bicubic'
    interpolate_antialias: bool = False
    interpolate_offset: float = 0.
    patch_norm: bool = False

    def __post_init__(self) -> None:
        check_rates(attn_drop_rate=self.attn_drop_rate)
        check_choice('act', self.act, ACTIVATIONS)
        check_choice('interpolate_mode', self.interpolate_mode, INTERPOLATION)

    def norm(self, dims: int) -> nn.LayerNorm:
        """A norm of ``dims`` channels."""
        return nn.LayerNorm(dims, eps=self.norm_eps)

    def resize_position(self, embedding: Tensor, source: tuple[int, int], target: tuple[int, int],
                        num_tokens: int = 0) -> Tensor:
        """`vit_plugin.layers.resize_position` with these options."""
        return resize_position(embedding, source, target, num_tokens, self.interpolate_mode,
                               self.interpolate_antialias, self.interpolate_offset)

    @property
    def norm_of_patches(self) -> Callable[[int], nn.LayerNorm] | None:
        """The norm of the patch embedding and of patch merging; ``None`` for none."""
        return self.norm if self.patch_norm else None


@dataclass(frozen=True, kw_only=True)
class SwinVariant(Variant):
    """Options of `SwinTransformer`.

    Attributes:
        mlp_ratio: Channels of the MLP's hidden layer over those of the block.
        qk_scale: Factor of the attention scores; ``None`` for the root of a head's channels.
        proj_drop_rate: Dropout after the attention.
        ffn_drop_rate: Dropout in the MLP.
        out_norm_eps: Epsilon of the norms of the outputs; ``None`` for that of all others.
    """

    norm_eps: float = 1e-5
    patch_norm: bool = True
    mlp_ratio: float = 4.
    qk_scale: float | None = None
    proj_drop_rate: float = 0.
    ffn_drop_rate: float = 0.
    out_norm_eps: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rates(proj_drop_rate=self.proj_drop_rate, ffn_drop_rate=self.ffn_drop_rate)


@dataclass(frozen=True, kw_only=True)
class ViTVariant(Variant):
    """Options of `DeiT` and `DistilledDeiT`.

    Attributes:
        proj_bias: True for a bias of the projection after the attention.
        attn_drop_path: False to leave the attention out of stochastic depth.
        with_cls_token: True for a class token.
        output_cls_token: True to return a map and the class token, as a list of both.
        patch_bias: True for a bias of the patch embedding.
        pre_norm: True for a norm before the first block.
        final_norm: True for a norm after the last block.
        num_register_tokens: Learnt tokens between the class token and the patches, without a
            position: Darcet et al., "Vision Transformers Need Registers",
            https://arxiv.org/abs/2309.16588. Beside windows there are none.
        ffn_type: ``'mlp'`` or ``'swiglu'``, whose ``feedforward_channels`` are those after the
            gate.
        position: ``'absolute'`` for a learnt embedding, ``'rotary'`` for DINOv3's rotations of
            queries and keys, which take any image size as they are.
        key_bias: False for no bias of the keys beside the ``qkv_bias``.
    """

    proj_bias: bool = True
    attn_drop_path: bool = True
    with_cls_token: bool = True
    output_cls_token: bool = False
    patch_bias: bool = True
    pre_norm: bool = False
    final_norm: bool = True
    num_register_tokens: int = 0
    ffn_type: str = 'mlp'
    position: str = 'absolute'
    key_bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice('ffn_type', self.ffn_type, FFN_TYPES)
        check_choice('position', self.position, POSITIONS)
        if not is_integer(self.num_register_tokens, 0):
            raise UserError(f'num_register_tokens={self.num_register_tokens!r} must be 0 or a '
                            'positive integer')
        if self.ffn_type == 'swiglu' and self.act != 'GELU':
            raise UserError(f"act='{self.act}' has no place in ffn_type='swiglu', whose gate is "
                            'SiLU')
        if self.output_cls_token and not self.with_cls_token:
            raise UserError('output_cls_token=True needs with_cls_token=True')

    def ffn(self, dims: int, hidden: int, drop_rate: float, layer_scale: float) -> nn.Module:
        """The MLP of a block, (..., dims) -> (..., dims)."""
        if self.ffn_type == 'swiglu':
            return SwiGLU(dims, hidden, drop_rate, layer_scale)
        return FeedForward(dims, hidden, drop_rate, layer_scale, ACTIVATIONS[self.act])
