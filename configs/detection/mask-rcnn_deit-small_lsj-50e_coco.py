# Mask R-CNN, DeiT-S, simple pyramid, 50 epochs on 1024x1024 pixels; see the config of DeiT-B.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_deit-small_lsj-50e_coco.py 16
# Published: none for this recipe. (Cascade Mask R-CNN with DeiT-S on transposed convolutions, 36
# epochs: 48.0 box AP, 41.4 mask AP; Swin paper, table 2b.)
_base_ = 'mask-rcnn_deit-base_lsj-50e_coco.py'

model = dict(
    backbone=dict(
        arch='small', init_cfg=dict(checkpoint='https://dl.fbaipublicfiles.com/deit/'
                                               'deit_small_patch16_224-cd65a155.pth')),
    neck=dict(in_channels=384))
