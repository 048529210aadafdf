# Cascade Mask R-CNN, DINOv2-B with registers, simple pyramid, 50 epochs on 1024x1024 pixels;
# strides and recipe as in mask-rcnn_dinov2-base_lsj-50e_coco.py, box heads of the Swin paper's
# Cascade with ViTDet's norm.
# Train: bash tools/dist_train.sh configs/detection/cascade-mask-rcnn_dinov2-base_lsj-50e_coco.py 16
# Published: none for this recipe, and nothing of it is tuned.
_base_ = ['../_base_/detection/cascade_mask_rcnn.py',
          '../_base_/detection/coco_instance_large_scale_jitter.py',
          '../_base_/detection/schedule_vitdet.py', '../_base_/detection/runtime.py']

norm_cfg = dict(type='vit_plugin.LayerNorm2d')
strides = [3.5, 7, 14, 28, 56]
box_heads = _base_.model.roi_head.bbox_head
for box_head in box_heads:
    box_head.norm_cfg = norm_cfg
model = dict(
    data_preprocessor=dict(batch_augments=[
        dict(type='BatchFixedSizePad', size=(1024, 1024), pad_mask=True)]),
    backbone=dict(
        _delete_=True, type='vit_plugin.DINOv2', arch='base', out_type='featmap',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint='https://dl.fbaipublicfiles.com/dinov2/'
                                                    'dinov2_vitb14/dinov2_vitb14_reg4_pretrain.pth')),
    neck=dict(_delete_=True, type='vit_plugin.SimplePyramid', in_channels=768, out_channels=256,
              num_outs=5),
    rpn_head=dict(num_convs=2, anchor_generator=dict(strides=strides, scales=[8 * 4 / 3.5])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=strides[:4]), bbox_head=box_heads,
        mask_roi_extractor=dict(featmap_strides=strides[:4]), mask_head=dict(norm_cfg=norm_cfg)))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=5000))
log_processor = dict(by_epoch=False)
