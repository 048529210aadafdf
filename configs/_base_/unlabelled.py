# Pretraining of a backbone without labels, on any tree of folders with images: the student learns
# of DINOv2's ViT-B how alike images are, and the patches of an image (docs/distillation.md has what
# else was tried). Images are compared within each process's batch, so let it be 64 or more.
# 224 pixels are 16x16 patches of the teacher.
data_root = 'data/unlabelled'
data_preprocessor = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
train_pipeline = [
    dict(type='vit_plugin.LoadImage', max_corrupt=10),
    dict(type='RandomResizedCrop', scale=224, backend='pillow', interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=128, num_workers=10, persistent_workers=True, drop_last=True,
    sampler=dict(type='vit_plugin.SeededSampler',
                 sampler=dict(type='DefaultSampler', shuffle=True)),
    dataset=dict(type='vit_plugin.SeededDataset',
                 dataset=dict(type='vit_plugin.ImageFolder', data_root=data_root, with_label=False,
                              pipeline=train_pipeline)))
val_dataloader = val_evaluator = test_dataloader = test_evaluator = None

unlabelled = dict(
    type='vit_plugin.Distilled', student_type='ImageClassifier', labels=False,
    teacher=dict(type='timm.create_model', model_name='vit_base_patch14_dinov2.lvd142m',
                 img_size=224, pretrained=True, num_classes=0, checkpoint=None),
    distillation=[dict(type='vit_plugin.SimilarityDistillation'),
                  dict(type='vit_plugin.LocalSimilarityDistillation', teacher='norm')])
