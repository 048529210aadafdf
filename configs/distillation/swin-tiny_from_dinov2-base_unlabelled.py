# Swin-T at 224 from images without labels, by similarities of DINOv2's ViT-B (timm), 300 epochs.
#   python tools/train.py configs/distillation/swin-tiny_from_dinov2-base_unlabelled.py \
#       --data-root FOLDER
# No published result. The backbone goes into any detector, segmentor or classifier:
#   --cfg-options model.backbone.init_cfg.checkpoint=work_dirs/.../epoch_300.pth
_base_ = ['../_base_/unlabelled.py', '../_base_/schedules/swin_300e.py',
          '../_base_/classification_runtime.py']

model = dict(
    backbone=dict(type='vit_plugin.SwinTransformer', arch='tiny', out_indices=(3, ),
                  drop_path_rate=0.1),
    **_base_.unlabelled)
val_cfg = test_cfg = None
default_hooks = dict(checkpoint=dict(save_best=None))
