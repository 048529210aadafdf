# Swin V2-T at 256 with windows of 8: swin.py with another backbone. Stochastic depth 0.2 for T, 0.3
# for S and 0.5 for B: configs/swinv2/*.yaml of microsoft/Swin-Transformer.
_base_ = 'swin.py'

model = dict(backbone=dict(type='vit_plugin.SwinTransformerV2', img_size=256, window_size=8))
