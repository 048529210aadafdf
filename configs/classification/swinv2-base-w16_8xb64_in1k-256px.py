# Swin V2-B at 256, window 16, on ImageNet-1k, 300 epochs, batch 1024 (8 GPUs, each
# 2 x 64).
#   bash tools/dist_train.sh configs/classification/swinv2-base-w16_8xb64_in1k-256px.py 8 --amp
# Published: 84.6 % top-1 (README of microsoft/Swin-Transformer); 84.6 with the same weights in
# mmpretrain's model zoo.
_base_ = 'swinv2-base-w8_8xb64_in1k-256px.py'

# The last stage has 8x8 patches: official code shrinks its window to that.
model = dict(backbone=dict(window_size=(16, 16, 16, 8)))
