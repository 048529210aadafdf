# Swin V2-T at 256, window 8, on ImageNet-1k, 300 epochs, batch 1024.
#   bash tools/dist_train.sh configs/classification/swinv2-tiny-w8_8xb128_in1k-256px.py 8 --amp
# Published: 81.8 % top-1 (README of microsoft/Swin-Transformer); 81.76 with the same weights in
# mmpretrain's model zoo.
_base_ = ['../_base_/models/swin_v2.py', '../_base_/datasets/imagenet_256.py',
          '../_base_/schedules/swin_300e.py', '../_base_/classification_runtime.py']
# Neither repeated augmentation nor EMA, as for Swin.
