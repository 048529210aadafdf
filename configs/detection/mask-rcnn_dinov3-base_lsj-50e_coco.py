# Mask R-CNN, DINOv3-B, 50 epochs on 1024x1024 pixels; see the config of DINOv2-B.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_dinov3-base_lsj-50e_coco.py 16 \
#     --cfg-options model.backbone.init_cfg.checkpoint=FILE
# FILE: DINOv3's weights are given to those who agree to its licence, see docs/dino.md.
# Published: none for this recipe, and nothing of it is tuned.
_base_ = 'mask-rcnn_deit-base_lsj-50e_coco.py'

model = dict(backbone=dict(
    _delete_=True, type='vit_plugin.DINOv3', arch='base', out_type='featmap', drop_path_rate=0.1,
    init_cfg=dict(type='Pretrained', checkpoint='')))
