# Swin V2-S at 256, window 8, on ImageNet-1k, 300 epochs, batch 1024.
#   bash tools/dist_train.sh configs/classification/swinv2-small-w8_8xb128_in1k-256px.py 8 --amp
# Published: 83.7 % top-1 (README of microsoft/Swin-Transformer); 83.74 with the same weights in
# mmpretrain's model zoo.
_base_ = 'swinv2-tiny-w8_8xb128_in1k-256px.py'

model = dict(backbone=dict(arch='small', drop_path_rate=0.3))
