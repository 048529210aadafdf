# Mask R-CNN, DINOv2-B with registers, simple pyramid, 50 epochs on 1024x1024 pixels, fine-tuned
# with layer-wise learning-rate decay; see the config of DeiT-B.
# Train: bash tools/dist_train.sh configs/detection/mask-rcnn_dinov2-base_lsj-50e_coco.py 16
# Published: none for this recipe, and nothing of it is tuned. Weights: Apache-2.0.
# Patches are of 14 pixels, so the pyramid's maps have strides of 3.5, 7, 14, 28 and 56: the heads
# are told so, which is exact; maps resampled to 4 ... 64 would be blurred. Anchors are of 32 to 512
# pixels, as elsewhere. Images of 1024 are padded to 1036 = 74 x 14 by the patch embedding.
_base_ = 'mask-rcnn_deit-base_lsj-50e_coco.py'

strides = [3.5, 7, 14, 28, 56]
model = dict(
    backbone=dict(
        _delete_=True, type='vit_plugin.DINOv2', arch='base', out_type='featmap',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint='https://dl.fbaipublicfiles.com/dinov2/'
                                                    'dinov2_vitb14/dinov2_vitb14_reg4_pretrain.pth')),
    rpn_head=dict(anchor_generator=dict(strides=strides, scales=[8 * 4 / 3.5])),
    roi_head=dict(bbox_roi_extractor=dict(featmap_strides=strides[:4]),
                  mask_roi_extractor=dict(featmap_strides=strides[:4])))
