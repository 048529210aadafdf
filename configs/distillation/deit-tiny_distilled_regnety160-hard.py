# DeiT-Ti/16 at 224, distilled from RegNetY-16GF (timm), hard labels, 300 epochs.
#   bash tools/dist_train.sh configs/distillation/deit-tiny_distilled_regnety160-hard.py 8 --amp
# Published: 74.5 % top-1 (DeiT, table 3 and README_deit.md of facebookresearch/deit).
_base_ = 'deit-base_distilled_regnety160-hard.py'

model = dict(backbone=dict(arch='tiny'), head=dict(in_channels=192))
# No EMA, as in ../classification/deit-tiny_8xb128_in1k.py.
custom_hooks = _base_.distillation_hooks
