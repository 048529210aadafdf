# DeiT-S/16 at 224 from images without labels: features of DINOv2's ViT-B (timm), 300 epochs.
#   python tools/train.py configs/distillation/deit-small_from_dinov2-base_unlabelled.py \
#       --data-root FOLDER
# No published result. The teacher's features of an image are compared with the mean of the patches.
_base_ = ['../_base_/unlabelled.py', '../_base_/schedules/deit_300e.py',
          '../_base_/classification_runtime.py']

model = dict(
    backbone=dict(type='vit_plugin.DeiT', arch='deit-small', img_size=224, out_type='featmap',
                  drop_path_rate=0.1),
    **_base_.unlabelled)
val_cfg = test_cfg = None
default_hooks = dict(checkpoint=dict(save_best=None))
