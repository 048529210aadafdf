# Swin V2-B at 256, window 8, on ImageNet-1k, 300 epochs, batch 1024 (8 GPUs, each
# 2 x 64).
#   bash tools/dist_train.sh configs/classification/swinv2-base-w8_8xb64_in1k-256px.py 8 --amp
# Published: 84.2 % top-1 (README of microsoft/Swin-Transformer); 84.2 with the same weights in
# mmpretrain's model zoo.
_base_ = 'swinv2-tiny-w8_8xb128_in1k-256px.py'

model = dict(backbone=dict(arch='base', drop_path_rate=0.5), head=dict(in_channels=1024))
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(accumulative_counts=2)
