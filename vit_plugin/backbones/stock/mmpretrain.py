"""mmpretrain's ``SwinTransformer``, ``SwinTransformerV2``, ``VisionTransformer`` and
``DistilledVisionTransformer``."""
import logging
from collections.abc import Sequence

from mmengine.logging import print_log

from ..archs import DEIT, SWIN, resolve_arch
from ..arguments import Arch, Config, InitCfg
from .values import GELU, LN, activation, flatten, norm_eps, refuse

LN6 = dict(type='LN', eps=1e-6)

SWIN_ARCHS = dict(t='tiny', s='small', b='base', l='large')

# swin_transformer_v2.py; the others are equal to Swin's.
GIANT: Config = dict(embed_dims=512, depths=(2, 2, 42, 4), num_heads=(16, 32, 64, 128),
                     extra_norm_every_n_blocks=6)
HUGE: Config = dict(embed_dims=352, depths=(2, 2, 18, 2), num_heads=(8, 16, 32, 64),
                    extra_norm_every_n_blocks=6)
SWIN_V2_ARCHS = dict(h=HUGE, huge=HUGE, g=GIANT, giant=GIANT)

# Which of the settings of Swin's stages act, and the name each has here.
STAGE = {
    'stage_cfgs.window_size': 'window_size',
    'stage_cfgs.with_cp': 'with_cp',
    'stage_cfgs.pad_small_map': 'pad_small_map',
    'stage_cfgs.block_cfgs.window_size': 'window_size',
    'stage_cfgs.block_cfgs.with_cp': 'with_cp',
    'stage_cfgs.block_cfgs.pad_small_map': 'pad_small_map',
    'stage_cfgs.block_cfgs.ffn_ratio': 'mlp_ratio',
    'stage_cfgs.block_cfgs.attn_cfgs.qkv_bias': 'qkv_bias',
    'stage_cfgs.block_cfgs.attn_cfgs.qk_scale': 'qk_scale',
    'stage_cfgs.block_cfgs.attn_cfgs.attn_drop': 'attn_drop_rate',
    'stage_cfgs.block_cfgs.attn_cfgs.proj_drop': 'proj_drop_rate',
    'stage_cfgs.block_cfgs.ffn_cfgs.ffn_drop': 'ffn_drop_rate',
    'stage_cfgs.block_cfgs.ffn_cfgs.act_cfg': 'act_cfg',
}

STAGE_V2 = {path: name for path, name in STAGE.items() if name != 'qk_scale'} | {
    'stage_cfgs.pretrained_window_size': 'pretrained_window_sizes',
    'stage_cfgs.block_cfgs.pretrained_window_size': 'pretrained_window_sizes',
}


def swin_transformer(arch: Arch = 'tiny',
                     img_size: int | Sequence[int] = 224,
                     patch_size: int | Sequence[int] = 4,
                     in_channels: int = 3,
                     window_size: int = 7,
                     drop_rate: float = 0.,
                     drop_path_rate: float = 0.1,
                     out_indices: Sequence[int] = (3,),
                     out_after_downsample: bool = False,
                     use_abs_pos_embed: bool = False,
                     interpolate_mode: str = 'bicubic',
                     with_cp: bool = False,
                     frozen_stages: int = -1,
                     norm_eval: bool = False,
                     pad_small_map: bool = False,
                     norm_cfg: Config | None = LN,
                     stage_cfgs: Config | Sequence[Config] = {},  # noqa: B006, mmpretrain's own default
                     patch_cfg: Config = {},  # noqa: B006
                     init_cfg: InitCfg = None) -> Config:
    """Arguments of `vit_plugin.backbones.SwinTransformer` for those of mmpretrain's.

    ``frozen_stages`` counts from 0 there: 0 is the first stage. ``norm_eval`` changes nothing: a
    LayerNorm has no running statistics.

    Raises:
        UserError: an argument has a value that the architecture has no place for.
    """
    if out_after_downsample:
        refuse('out_after_downsample', out_after_downsample,
               'outputs are taken before the patch merging')
    if isinstance(arch, str):
        arch = SWIN_ARCHS.get(arch.lower(), arch.lower())
    depth = len(resolve_arch(arch, SWIN)['depths'])
    whole = dict(window_size=window_size, with_cp=with_cp, pad_small_map=pad_small_map)
    return dict(
        arch=arch, img_size=img_size, patch_size=patch_size, in_channels=in_channels,
        out_indices=out_indices, drop_rate=drop_rate, drop_path_rate=drop_path_rate,
        use_abs_pos_embed=use_abs_pos_embed, init_cfg=init_cfg,
        **swin_settings(whole, stage_cfgs, STAGE, patch_cfg, frozen_stages, depth,
                        interpolate_mode, norm_cfg))


def swin_settings(whole: Config, stage_cfgs: object, known: dict[str, str], patch_cfg: object,
                  frozen_stages: int, depth: int, interpolate_mode: str, norm_cfg: Config | None
                  ) -> Config:
    """Arguments that mmpretrain's two Swins have in common; those not listed are theirs.

    Args:
        whole: Settings of the whole model that ``stage_cfgs`` overrides.
        known: Which of ``stage_cfgs`` act, and the name each has here.
        depth: Number of stages.
    """
    if patch_cfg:
        refuse('patch_cfg', patch_cfg, 'patches are those of patch_size, with a norm')
    if not -1 <= frozen_stages < depth:
        refuse('frozen_stages', frozen_stages, f'it must be in -1 ... {depth - 1}')
    blocks = flatten('stage_cfgs', stage_cfgs, known)
    whole = whole | {name: blocks.pop(name) for name in whole if name in blocks}
    if 'act_cfg' in blocks:
        blocks['act'] = activation('stage_cfgs.block_cfgs.ffn_cfgs.act_cfg', blocks.pop('act_cfg'))
    variant = dict(interpolate_mode=interpolate_mode, out_norm_eps=norm_eps('norm_cfg', norm_cfg),
                   **blocks)
    frozen_stages = -1 if frozen_stages < 0 else frozen_stages + 1
    return dict(whole, frozen_stages=frozen_stages, variant=variant)


def swin_transformer_v2(arch: Arch = 'tiny',
                        img_size: int | Sequence[int] = 256,
                        patch_size: int | Sequence[int] = 4,
                        in_channels: int = 3,
                        window_size: int | Sequence[int] = 8,
                        drop_rate: float = 0.,
                        drop_path_rate: float = 0.1,
                        out_indices: Sequence[int] = (3,),
                        use_abs_pos_embed: bool = False,
                        interpolate_mode: str = 'bicubic',
                        with_cp: bool = False,
                        frozen_stages: int = -1,
                        norm_eval: bool = False,
                        pad_small_map: bool = False,
                        norm_cfg: Config | None = LN,
                        stage_cfgs: Config | Sequence[Config] = {},  # noqa: B006, theirs
                        patch_cfg: Config = {},  # noqa: B006
                        pretrained_window_sizes: Sequence[int] = (0, 0, 0, 0),
                        init_cfg: InitCfg = None) -> Config:
    """Arguments of `vit_plugin.backbones.SwinTransformerV2` for those of mmpretrain's.

    ``frozen_stages`` and ``norm_eval`` are as in `swin_transformer`. Stochastic depth acts after
    the norms here, before them there.

    Raises:
        UserError: an argument has a value that the architecture has no place for.
    """
    if isinstance(arch, str):
        name = arch.lower()
        arch = SWIN_V2_ARCHS.get(name) or SWIN_ARCHS.get(name, name)
    depths = (resolve_arch(arch, SWIN) if isinstance(arch, str) else arch)['depths']
    whole = dict(window_size=window_size, pretrained_window_sizes=pretrained_window_sizes,
                 with_cp=with_cp, pad_small_map=pad_small_map)
    return dict(
        arch=arch, img_size=img_size, patch_size=patch_size, in_channels=in_channels,
        out_indices=out_indices, drop_rate=drop_rate, drop_path_rate=drop_path_rate,
        use_abs_pos_embed=use_abs_pos_embed, init_cfg=init_cfg,
        **swin_settings(whole, stage_cfgs, STAGE_V2, patch_cfg, frozen_stages,
                        len(depths), interpolate_mode, norm_cfg))


def vit(embed_dims: int, num_layers: int, num_heads: int, feedforward_channels: int) -> Config:
    """A row of `VIT_ARCHS`."""
    return dict(embed_dims=embed_dims, num_layers=num_layers, num_heads=num_heads,
                feedforward_channels=feedforward_channels)


# vision_transformer.py; 'base' is the same here, and 'small' is not (DeiT's).
VIT_ARCHS = {
    's':                                                       vit(768,   8,  8, 2304),
    **dict.fromkeys(('b', 'deit-b', 'deit-base'),              vit(768,  12, 12, 3072)),
    **dict.fromkeys(('l', 'large'),                            vit(1024, 24, 16, 4096)),
    **dict.fromkeys(('h', 'huge'),                             vit(1280, 32, 16, 5120)),
    **dict.fromkeys(('eva-g', 'eva-giant'),                    vit(1408, 40, 16, 6144)),
    **dict.fromkeys(('deit-t', 'deit-tiny'),                   vit(192,  12,  3,  768)),
    **dict.fromkeys(('deit-s', 'deit-small'),                  vit(384,  12,  6, 1536)),
    **dict.fromkeys(('dinov2-s', 'dinov2-small'),              vit(384,  12,  6, 1536)),
    **dict.fromkeys(('dinov2-g', 'dinov2-giant'),              vit(1536, 40, 24, 6144)),
}
FFN_TYPES = dict(origin='mlp', swiglu_fused='swiglu')
# The settings of a ViT's layers that act, and the name each has here.
LAYER = {
    'layer_cfgs.qkv_bias': 'qkv_bias',
    'layer_cfgs.attn_drop_rate': 'attn_drop_rate',
    'layer_cfgs.act_cfg': 'act_cfg',
    'layer_cfgs.norm_cfg': 'norm_cfg',
    'layer_cfgs.ffn_type': 'ffn_type',
    'layer_cfgs.num_fcs': 'num_fcs',
}


def vision_transformer(arch: Arch = 'base',
                       img_size: int | Sequence[int] = 224,
                       patch_size: int | Sequence[int] = 16,
                       in_channels: int = 3,
                       out_indices: int | Sequence[int] = -1,
                       drop_rate: float = 0.,
                       drop_path_rate: float = 0.,
                       qkv_bias: bool = True,
                       norm_cfg: Config = LN6,
                       final_norm: bool = True,
                       out_type: str = 'cls_token',
                       with_cls_token: bool = True,
                       frozen_stages: int = -1,
                       interpolate_mode: str = 'bicubic',
                       layer_scale_init_value: float = 0.,
                       patch_cfg: Config = {},  # noqa: B006
                       layer_cfgs: Config | Sequence[Config] = {},  # noqa: B006
                       pre_norm: bool = False,
                       init_cfg: InitCfg = None) -> Config:
    """Arguments of `vit_plugin.backbones.DeiT`, or `DistilledDeiT`, for those of mmpretrain's.

    ``frozen_stages=0`` freezes nothing there. ``arch='small'`` is DeiT's, with a warning.

    Raises:
        UserError: an argument has a value that the architecture has no place for.
    """
    if set(patch_cfg) - {'bias'}:
        refuse('patch_cfg', patch_cfg, 'patches are those of patch_size; what can be set is bias')
    layers: Config = dict(qkv_bias=qkv_bias, norm_cfg=norm_cfg, act_cfg=GELU, ffn_type='origin',
                          num_fcs=2)
    layers.update(flatten('layer_cfgs', layer_cfgs, LAYER))
    ffn_type = FFN_TYPES.get(layers.pop('ffn_type'))
    if ffn_type is None or layers.pop('num_fcs') != 2:
        refuse('layer_cfgs', layer_cfgs, 'the MLP of a block has two layers, or is SwiGLU')
    if ffn_type == 'swiglu' and (drop_rate or drop_path_rate):
        refuse('layer_cfgs', layer_cfgs, 'drop_rate and drop_path_rate leave its MLP out there')
    eps = norm_eps('norm_cfg', norm_cfg)
    if norm_eps('layer_cfgs.norm_cfg', layers.pop('norm_cfg')) != eps:
        refuse('layer_cfgs', layer_cfgs, 'the norms of the blocks and the last one have one eps')
    if isinstance(arch, str):
        arch = VIT_ARCHS.get(arch.lower(), arch.lower())
        if arch == 'small':
            print_log("arch='small' is DeiT-S (384 channels, 12 layers) here, and another model in "
                      "mmpretrain (768, 8): say 'deit-small' or 's'", 'current', logging.WARNING)
    else:
        arch = {key: arch[key] for key in vit(0, 0, 0, 0) if key in arch}
    if ffn_type == 'swiglu':
        arch = resolve_arch(arch, DEIT)
        channels = int(arch['feedforward_channels'] * 2 / 3)
        arch['feedforward_channels'] = (channels + 7) // 8 * 8  # SwiGLUFFNFused
    return dict(
        arch=arch, img_size=img_size, patch_size=patch_size, in_channels=in_channels,
        out_indices=out_indices, out_type=out_type, drop_rate=drop_rate,
        drop_path_rate=drop_path_rate, layer_scale_init_value=layer_scale_init_value,
        frozen_stages=frozen_stages or -1, init_cfg=init_cfg,
        variant=dict(
            act=activation('layer_cfgs.act_cfg', layers.pop('act_cfg')), norm_eps=eps,
            patch_bias=patch_cfg.get('bias', not pre_norm), pre_norm=pre_norm,
            final_norm=final_norm, with_cls_token=with_cls_token,
            interpolate_mode=interpolate_mode, ffn_type=ffn_type, **layers))
