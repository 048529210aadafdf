# Swin V2-B at 256, window 16: ImageNet-22k weights of window 12 at 192, fine-tuned on ImageNet-1k
# for 30 epochs, batch 1024 (8 GPUs, each 2 x 64).
#   bash tools/dist_train.sh configs/classification/swinv2-base-w16_8xb64_in22k-pre_in1k.py 8 --amp
# Published: 86.2 % top-1 (README of microsoft/Swin-Transformer); 86.17 with the same weights in
# mmpretrain's model zoo.
_base_ = ['../_base_/models/swin_v2.py', '../_base_/datasets/imagenet_256.py',
          '../_base_/schedules/swin_30e.py', '../_base_/classification_runtime.py']

# swinv2_base_patch4_window12to16_192to256_22kto1k_ft.yaml. In pre-training, the last stage had 6x6
# patches. The classifier starts anew; the official code starts from the rows of the 22k classifier
# that belong to the 1k classes.
model = dict(
    backbone=dict(
        arch='base', window_size=(16, 16, 16, 8), pretrained_window_sizes=(12, 12, 12, 6),
        init_cfg=dict(type='Pretrained',
                      checkpoint='https://download.openmmlab.com/mmclassification/v0/swin-v2/'
                                 'pretrain/swinv2-base-w12_3rdparty_in21k-192px_20220803-'
                                 'f7dc9763.pth')),
    head=dict(in_channels=1024))
train_dataloader = dict(batch_size=64)
