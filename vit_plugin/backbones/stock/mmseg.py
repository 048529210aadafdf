"""mmseg's ``VisionTransformer``; its ``SwinTransformer`` is mmdet's."""
from collections.abc import Sequence

from ..arguments import Config, InitCfg
from .values import GELU, LN, activation, first_weights, norm_eps, refuse, whole_patches


def vision_transformer(img_size: int | Sequence[int] = 224,
                       patch_size: int = 16,
                       patch_pad: str = 'corner',
                       in_channels: int = 3,
                       embed_dims: int = 768,
                       num_layers: int = 12,
                       num_heads: int = 12,
                       mlp_ratio: int = 4,
                       out_origin: bool = False,
                       out_indices: int | Sequence[int] = -1,
                       qkv_bias: bool = True,
                       drop_rate: float = 0.,
                       attn_drop_rate: float = 0.,
                       drop_path_rate: float = 0.,
                       with_cls_token: bool = True,
                       output_cls_token: bool = False,
                       norm_cfg: Config = LN,
                       act_cfg: Config = GELU,
                       patch_norm: bool = False,
                       patch_bias: bool = False,
                       pre_norm: bool = False,
                       final_norm: bool = False,
                       interpolate_mode: str = 'bicubic',
                       num_fcs: int = 2,
                       norm_eval: bool = False,
                       with_cp: bool = False,
                       frozen_exclude: Sequence[str] = ('all',),
                       pretrained: str | None = None,
                       init_cfg: InitCfg = None) -> Config:
    """Arguments of `vit_plugin.backbones.DeiT` for those of mmseg's.

    ``norm_eval`` changes nothing: a LayerNorm has no running statistics.

    Raises:
        UserError: an argument has a value that the architecture has no place for.
    """
    if patch_pad != 'corner':
        refuse('patch_pad', patch_pad, "images are padded at the bottom and right, 'corner'")
    if out_origin:
        refuse('out_origin', out_origin, 'outputs are those of blocks')
    if 'all' not in frozen_exclude:
        refuse('frozen_exclude', frozen_exclude, 'blocks are frozen by frozen_stages')
    if num_fcs != 2:
        refuse('num_fcs', num_fcs, 'the MLP of a block has two layers')
    return dict(
        arch=dict(embed_dims=embed_dims, num_layers=num_layers, num_heads=num_heads,
                  feedforward_channels=mlp_ratio * embed_dims),
        img_size=whole_patches(img_size, patch_size), patch_size=patch_size,
        in_channels=in_channels, out_indices=out_indices, out_type='featmap', drop_rate=drop_rate,
        drop_path_rate=drop_path_rate, with_cp=with_cp,
        init_cfg=first_weights(init_cfg, pretrained),
        variant=dict(
            qkv_bias=qkv_bias, proj_bias=qkv_bias, attn_drop_rate=attn_drop_rate,
            attn_drop_path=False, with_cls_token=with_cls_token, output_cls_token=output_cls_token,
            patch_norm=patch_norm, patch_bias=patch_bias, pre_norm=pre_norm, final_norm=final_norm,
            interpolate_mode=interpolate_mode, act=activation('act_cfg', act_cfg),
            norm_eps=norm_eps('norm_cfg', norm_cfg)))
