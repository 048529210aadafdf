# Swin V2-T at 256, window 8, distilled from RegNetY-16GF (timm), hard labels, 300 epochs: Swin's
# recipe with the label and the teacher learnt by its only scores.
#   bash tools/dist_train.sh configs/distillation/swinv2-tiny_distilled_regnety160-hard.py 8 --amp
# No published result.
_base_ = ['../classification/swinv2-tiny-w8_8xb128_in1k-256px.py', '../_base_/distillation.py',
          '../_base_/teachers/regnety160.py']

model = dict(teacher=_base_.regnety160, **_base_.distilled)
custom_hooks = _base_.distillation_hooks
