"""The backbones; they need torch and mmengine only."""
from .deit import DeiT
from .dino import DINOv2, DINOv3
from .distilled_deit import DistilledDeiT
from .lora import LoRA, merge_lora
from .stock import mmdet, mmpretrain, mmseg, register
from .swin import SwinTransformer
from .swin_v2 import SwinTransformerV2

__all__ = ['DINOv2', 'DINOv3', 'DeiT', 'DistilledDeiT', 'LoRA', 'SwinTransformer',
           'SwinTransformerV2', 'merge_lora']

register(SwinTransformer, mmpretrain=mmpretrain.swin_transformer, mmdet=mmdet.swin_transformer,
         mmseg=mmdet.swin_transformer, mmrotate=mmdet.swin_transformer)
register(SwinTransformerV2, mmpretrain=mmpretrain.swin_transformer_v2)
register(DeiT, mmpretrain=mmpretrain.vision_transformer, mmseg=mmseg.vision_transformer)
register(DistilledDeiT, mmpretrain=mmpretrain.vision_transformer)
