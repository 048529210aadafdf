# The segmentor with a seventh of the backbone's parameters, from random weights.
_base_ = 'segmentor.py'

model = dict(
    backbone=dict(
        arch=dict(embed_dims=16, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8)), init_cfg=None),
    decode_head=dict(in_channels=[16, 32, 64, 128]),
    auxiliary_head=dict(in_channels=64))
