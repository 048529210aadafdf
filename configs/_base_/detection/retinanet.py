# RetinaNet (https://arxiv.org/abs/1708.02002) with Swin-T and FPN; settings are those of mmdet
# (_base_/models/retinanet_r50_fpn.py and configs/swin). The pyramid begins at stride 8, so the
# backbone gives three maps: a fourth would have parameters without gradient. The
# head is mmdet's; only in mixed precision does it differ.
model = dict(
    type='RetinaNet',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True, pad_size_divisor=32),
    backbone=dict(
        type='vit_plugin.SwinTransformer', arch='tiny', out_indices=(1, 2, 3), pad_small_map=True,
        drop_path_rate=0.2,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://github.com/SwinTransformer/storage/releases/download/v1.0.0/'
                       'swin_tiny_patch4_window7_224.pth')),
    neck=dict(type='FPN', in_channels=[192, 384, 768], out_channels=256, start_level=0,
              add_extra_convs='on_input', num_outs=5),
    bbox_head=dict(
        type='vit_plugin.Float32RetinaHead', num_classes=80, in_channels=256,
        stacked_convs=4, feat_channels=256,
        anchor_generator=dict(type='AnchorGenerator', octave_base_scale=4, scales_per_octave=3,
                              ratios=[0.5, 1.0, 2.0], strides=[8, 16, 32, 64, 128]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0., 0., 0., 0.],
                        target_stds=[1., 1., 1., 1.]),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2., alpha=0.25, loss_weight=1.),
        loss_bbox=dict(type='L1Loss', loss_weight=1.)),
    train_cfg=dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0,
                      ignore_iof_thr=-1),
        sampler=dict(type='PseudoSampler'), allowed_border=-1, pos_weight=-1, debug=False),
    test_cfg=dict(nms_pre=1000, min_bbox_size=0, score_thr=0.05, max_per_img=100,
                  nms=dict(type='nms', iou_threshold=0.5)))
