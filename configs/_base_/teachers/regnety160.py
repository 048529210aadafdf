# RegNetY-16GF of the DeiT paper, 82.9 % top-1 (published, table 2), in timm's hands.
# The same weights: https://dl.fbaipublicfiles.com/deit/regnety_160-a5fe301d.pth
regnety160 = dict(
    type='TimmClassifier', model_name='regnety_160.deit_in1k', num_classes=1000,
    pretrained=True, checkpoint=None,
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                           to_rgb=True))
