# Mask R-CNN, DeiT-B, simple pyramid, 50 epochs on 1024x1024 pixels: ViTDet's recipe and heads
# (https://arxiv.org/abs/2203.16527, appendix A.2). The attention is global in every block; with
# ViTDet's windows in 8 of 12 it is mask-rcnn_deit-base-w14_lsj-50e_coco.py.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_deit-base_lsj-50e_coco.py 16
# Published: none for DeiT's weights; for those of the config with windows see there.
_base_ = ['../_base_/detection/mask_rcnn.py',
          '../_base_/detection/coco_instance_large_scale_jitter.py',
          '../_base_/detection/schedule_vitdet.py', '../_base_/detection/runtime.py']

norm_cfg = dict(type='vit_plugin.LayerNorm2d')
model = dict(
    data_preprocessor=dict(batch_augments=[
        dict(type='BatchFixedSizePad', size=(1024, 1024), pad_mask=True)]),
    backbone=dict(
        _delete_=True, type='vit_plugin.DeiT', arch='base', img_size=1024, out_type='featmap',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint='https://dl.fbaipublicfiles.com/deit/'
                                                    'deit_base_patch16_224-b5f2ef4d.pth')),
    neck=dict(_delete_=True, type='vit_plugin.SimplePyramid', in_channels=768, out_channels=256,
              num_outs=5),
    rpn_head=dict(num_convs=2),
    roi_head=dict(
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=norm_cfg),
        mask_head=dict(norm_cfg=norm_cfg)))
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=5000))
log_processor = dict(by_epoch=False)
