"""mmdet's ``SwinTransformer``, of which mmseg has a copy."""
from collections.abc import Mapping, Sequence

from ..arguments import Config, InitCfg
from .values import GELU, LN, activation, first_weights, norm_eps, refuse, whole_patches


def swin_transformer(pretrain_img_size: int | Sequence[int] = 224,
                     in_channels: int = 3,
                     embed_dims: int = 96,
                     patch_size: int = 4,
                     window_size: int = 7,
                     mlp_ratio: float = 4,
                     depths: Sequence[int] = (2, 2, 6, 2),
                     num_heads: Sequence[int] = (3, 6, 12, 24),
                     strides: Sequence[int] = (4, 2, 2, 2),
                     out_indices: Sequence[int] = (0, 1, 2, 3),
                     qkv_bias: bool = True,
                     qk_scale: float | None = None,
                     patch_norm: bool = True,
                     drop_rate: float = 0.,
                     attn_drop_rate: float = 0.,
                     drop_path_rate: float = 0.1,
                     use_abs_pos_embed: bool = False,
                     act_cfg: Config = GELU,
                     norm_cfg: Config = LN,
                     with_cp: bool = False,
                     pretrained: str | None = None,
                     convert_weights: bool = False,
                     frozen_stages: int = -1,
                     init_cfg: InitCfg = None) -> Config:
    """Arguments of `vit_plugin.backbones.SwinTransformer` for those of mmdet's and mmseg's.

    ``convert_weights`` says nothing new: the loader recognises official weights. The norm of a
    classifier is left out, as there.

    Raises:
        UserError: an argument has a value that the architecture has no place for.
    """
    if (len(strides) < len(depths) or strides[0] != patch_size
            or any(stride != 2 for stride in strides[1:len(depths)])):
        refuse('strides', strides, f'the first must be patch_size={patch_size}, the others 2, one '
                                   f'for each of the {len(depths)} stages')
    init_cfg = first_weights(init_cfg, pretrained)
    if isinstance(init_cfg, Mapping) and init_cfg.get('type') == 'Pretrained':
        init_cfg = dict(init_cfg, classifier_norm=False)
    return dict(
        arch=dict(embed_dims=embed_dims, depths=depths, num_heads=num_heads),
        img_size=whole_patches(pretrain_img_size, patch_size), patch_size=patch_size,
        in_channels=in_channels, window_size=window_size, out_indices=out_indices,
        pad_small_map=True, drop_rate=drop_rate, drop_path_rate=drop_path_rate,
        use_abs_pos_embed=use_abs_pos_embed, frozen_stages=frozen_stages, with_cp=with_cp,
        init_cfg=init_cfg,
        variant=dict(
            mlp_ratio=mlp_ratio, qkv_bias=qkv_bias, qk_scale=qk_scale, proj_drop_rate=drop_rate,
            ffn_drop_rate=drop_rate, attn_drop_rate=attn_drop_rate, patch_norm=patch_norm,
            act=activation('act_cfg', act_cfg), norm_eps=norm_eps('norm_cfg', norm_cfg)))
