# Swin V2-T at 256, window 16, on ImageNet-1k, 300 epochs, batch 1024.
#   bash tools/dist_train.sh configs/classification/swinv2-tiny-w16_8xb128_in1k-256px.py 8 --amp
# Published: 82.8 % top-1 (README of microsoft/Swin-Transformer); 82.81 with the same weights in
# mmpretrain's model zoo.
_base_ = 'swinv2-tiny-w8_8xb128_in1k-256px.py'

# The last stage has 8x8 patches: official code shrinks its window to that.
model = dict(backbone=dict(window_size=(16, 16, 16, 8)))
