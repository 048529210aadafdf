# RetinaNet, ResNet-50, FPN, 24 epochs, distilled from mmdet's Mask R-CNN with Swin-S: PKD.
# Train: bash tools/dist_train.sh \
#     configs/distillation/retinanet_r50_from_mask-rcnn-swin-small-pkd.py 8
# Published: 41.5 box AP, 4.1 more than without a teacher; 48.2 is the teacher's (mmrazor's README
# of PKD, https://arxiv.org/abs/2207.02039). The settings are those of its
# configs/distill/mmdet/pkd/pkd_fpn_mask_rcnn_swin_retina_r50_2x_coco.py: the first level of one
# pyramid with the first of the other, resized, though they have strides of 8 and 4.
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_2x_coco.py'

model = dict(
    type='vit_plugin.Distilled', student_type='RetinaNet',
    teacher=dict(
        config='configs/detection/mask-rcnn_swin-small_fpn_ms-3x_coco.py',
        checkpoint='https://download.openmmlab.com/mmdetection/v2.0/swin/'
                   'mask_rcnn_swin-s-p4-w7_fpn_fp16_ms-crop-3x_coco/'
                   'mask_rcnn_swin-s-p4-w7_fpn_fp16_ms-crop-3x_coco_20210903_104808-b92c91f1.pth'),
    distillation=dict(type='vit_plugin.PKD', student='neck[:4]', teacher='neck[:4]', resize=True))
# Reproducible, and bitwise the same after a resume.
train_dataloader = dict(
    sampler=dict(_delete_=True, type='vit_plugin.SeededSampler',
                 sampler=dict(type='DefaultSampler', shuffle=True)),
    batch_sampler=dict(_delete_=True, type='vit_plugin.SkipBatchSampler',
                       batch_sampler=_base_.train_dataloader.batch_sampler),
    dataset=dict(_delete_=True, type='vit_plugin.SeededDataset',
                 dataset=_base_.train_dataloader.dataset))
custom_hooks = [dict(type='vit_plugin.SeedHook')]
default_hooks = dict(checkpoint=dict(type='vit_plugin.AtomicCheckpointHook'),
                     check=dict(type='vit_plugin.CheckHook'),
                     finite_loss=dict(type='vit_plugin.FiniteLossHook'))
