# ImageNet-1k at 384: imagenet_224.py with larger crops.
#
# The fine-tuning of both papers keeps the augmentation. Validation as in DeiT's datasets.py, a
# centre crop of 384 from a short edge of 438 (= int(256 / 224 * 384)); Swin's configs override it.
_base_ = 'imagenet_224.py'

train_pipeline = _base_.train_pipeline
train_pipeline[0].scale = 384  # LoadRandomResizedCrop
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 438  # ResizeEdge
test_pipeline[2].crop_size = 384  # CenterCrop

train_dataloader = dict(batch_size=64, dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(batch_size=64, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
