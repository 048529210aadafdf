# Swin-B fine-tuned at 384, window 12, for 30 epochs, batch 1024 (8 GPUs, each 2 x 64).
#   bash tools/dist_train.sh configs/classification/swin-base_8xb64_in1k-384px.py 8 --amp
# Published: 84.5 % top-1 (Swin, table 1a; official weights the same).
_base_ = ['../_base_/models/swin.py', '../_base_/datasets/imagenet_384.py',
          '../_base_/schedules/swin_30e.py', '../_base_/classification_runtime.py']

# The official 224 weights as converted by mmpretrain; the bias tables go from window 7 to 12.
load_from = ('https://download.openmmlab.com/mmclassification/v0/swin-transformer/convert/'
             'swin_base_patch4_window7_224-4670dd19.pth')
model = dict(backbone=dict(arch='base', img_size=384, window_size=12, drop_path_rate=0.5),
             head=dict(in_channels=1024))

# TEST.CROP: False in the official configs of 384: the whole image, squeezed.
test_pipeline = [
    dict(type='vit_plugin.LoadImage'),
    dict(type='Resize', scale=(384, 384), backend='pillow', interpolation='bicubic'),
    dict(type='PackInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
