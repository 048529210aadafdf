# ADE20K, crops of 640x640 pixels: ade20k_512x512.py with every size 5/4 times as large.
_base_ = 'ade20k_512x512.py'

crop_size = (640, 640)

train_pipeline = _base_.train_pipeline
train_pipeline[3].scale = (2560, 640)  # RandomResize
train_pipeline[4].crop_size = crop_size  # RandomCrop
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (2560, 640)  # Resize
flip_pipeline = _base_.flip_pipeline
flip_pipeline[1].transforms[0][0].scale = (2560, 640)
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].transforms[0] = [
    dict(resize, scale=tuple(size * 5 // 4 for size in resize.scale))
    for resize in tta_pipeline[1].transforms[0]]

train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
