# ImageNet-1k at 256: imagenet_224.py with larger crops, for Swin V2.
#
# Validation on a centre crop of 256 from a short edge of 292 (= int(256 / 224 * 256)), as in
# data/build.py of microsoft/Swin-Transformer, whose configs/swinv2/*.yaml change the size alone.
_base_ = 'imagenet_224.py'

train_pipeline = _base_.train_pipeline
train_pipeline[0].scale = 256  # LoadRandomResizedCrop
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 292  # ResizeEdge
test_pipeline[2].crop_size = 256  # CenterCrop

train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
