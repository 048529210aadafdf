# UPerNet, DeiT-B, mmseg's MultiLevelNeck from four blocks, 160k iterations, 512x512.
# Train: bash tools/dist_train.sh \
#     configs/segmentation/upernet_deit-base-mln_160k_ade20k-512x512.py 8
# Published: 45.37 mIoU, 47.23 with scales and flips, on ADE20K val (mmseg's model zoo,
# vit_deit-b16-ln_mln_upernet_8xb2-160k_ade20k-512x512).
_base_ = 'upernet_deit-base_160k_ade20k-512x512.py'

model = dict(
    backbone=dict(out_indices=(2, 5, 8, 11)),
    neck=dict(_delete_=True, type='MultiLevelNeck', in_channels=[768, 768, 768, 768],
              out_channels=768, scales=[4, 2, 1, 0.5]),
    decode_head=dict(in_channels=[768, 768, 768, 768]),
    auxiliary_head=dict(in_channels=768, in_index=3))
