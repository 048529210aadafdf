# DeiT-S/16 at 224, distilled from RegNetY-16GF (timm), hard labels, 300 epochs.
#   bash tools/dist_train.sh configs/distillation/deit-small_distilled_regnety160-hard.py 8 --amp
# Published: 81.2 % top-1 (DeiT, table 3 and README_deit.md of facebookresearch/deit).
_base_ = 'deit-base_distilled_regnety160-hard.py'

model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
# No EMA, as in ../classification/deit-small_8xb128_in1k.py.
custom_hooks = _base_.distillation_hooks
