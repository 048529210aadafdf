# Swin V2-L at 256, window 16: ImageNet-22k weights of window 12 at 192, fine-tuned on ImageNet-1k
# for 30 epochs, batch 1024 (8 GPUs, each 2 x 64).
#   bash tools/dist_train.sh configs/classification/swinv2-large-w16_8xb64_in22k-pre_in1k.py 8 --amp
# Published: 86.9 % top-1 (README of microsoft/Swin-Transformer); 86.93 with the same weights in
# mmpretrain's model zoo.
_base_ = 'swinv2-base-w16_8xb64_in22k-pre_in1k.py'

# swinv2_large_patch4_window12to16_192to256_22kto1k_ft.yaml
model = dict(
    backbone=dict(
        arch='large',
        init_cfg=dict(checkpoint='https://download.openmmlab.com/mmclassification/v0/swin-v2/'
                                 'pretrain/swinv2-large-w12_3rdparty_in21k-192px_20220803-'
                                 'd9073fee.pth')),
    head=dict(in_channels=1536))
