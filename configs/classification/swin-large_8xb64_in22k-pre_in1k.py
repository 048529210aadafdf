# Swin-L at 224, window 7: ImageNet-22k weights fine-tuned on ImageNet-1k for 30 epochs, batch 1024
# (8 GPUs, each 2 x 64).
#   bash tools/dist_train.sh configs/classification/swin-large_8xb64_in22k-pre_in1k.py 8 --amp
# Published: 86.3 % top-1 (official weights, get_started.md of microsoft/Swin-Transformer).
_base_ = ['../_base_/models/swin.py', '../_base_/datasets/imagenet_224.py',
          '../_base_/schedules/swin_30e.py', '../_base_/classification_runtime.py']

# The classifier starts anew; the official code starts from the rows of the 22k classifier that
# belong to the 1k classes.
model = dict(
    backbone=dict(
        arch='large', drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained',
                      checkpoint='https://github.com/SwinTransformer/storage/releases/download/'
                                 'v1.0.0/swin_large_patch4_window7_224_22k.pth')),
    head=dict(in_channels=1536))
train_dataloader = dict(batch_size=64)
