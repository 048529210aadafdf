# Swin-B, 83.5 % top-1 (published, Swin, table 1a), in timm's hands.
swin_base = dict(
    type='TimmClassifier', model_name='swin_base_patch4_window7_224.ms_in1k', num_classes=1000,
    pretrained=True, checkpoint=None,
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                           to_rgb=True))
