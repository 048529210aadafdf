# ADE20K, crops of 518x518 pixels, 37 x 37 patches of 14: ade20k_512x512.py with other sizes. Test
# images are padded to whole patches by the data preprocessor (size_divisor=14), which cuts the
# padding from the prediction; what the patch embedding pads, nobody cuts.
_base_ = 'ade20k_512x512.py'

crop_size = (518, 518)

train_pipeline = _base_.train_pipeline
train_pipeline[3].scale = (2072, 518)  # RandomResize
train_pipeline[4].crop_size = crop_size  # RandomCrop
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (2072, 518)  # Resize

train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
