# Swin-L at 384, window 12: ImageNet-22k weights fine-tuned on ImageNet-1k for 30 epochs, batch
# 1024 (8 GPUs, each 2 x 64).
#   bash tools/dist_train.sh configs/classification/swin-large_8xb64_in22k-pre_in1k-384px.py 8 --amp
# Published: 87.3 % top-1 (Swin, table 1b; official weights the same).
_base_ = 'swin-base_8xb64_in1k-384px.py'

load_from = None
model = dict(
    backbone=dict(
        arch='large', drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained',
                      checkpoint='https://github.com/SwinTransformer/storage/releases/download/'
                                 'v1.0.0/swin_large_patch4_window12_384_22k.pth')),
    head=dict(in_channels=1536))
