# Swin-S at 224, window 7, on ImageNet-1k, 300 epochs, batch 1024.
#   bash tools/dist_train.sh configs/classification/swin-small_8xb128_in1k.py 8 --amp
# Published: 83.0 % top-1 (Swin, table 1a); the official weights reach 83.2 (get_started.md).
_base_ = 'swin-tiny_8xb128_in1k.py'

model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
