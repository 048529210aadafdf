# The same Swin learns from a ConvNet how alike 3,500 digits are, without their labels.
_base_ = 'swin_few.py'

model = dict(
    type='vit_plugin.Distilled', student_type='ImageClassifier', labels=False, head=None,
    teacher=dict(config='{{ fileDirname }}/teacher_resnet.py',
                 checkpoint='work_dirs/quickstart/other_teacher/final.pth'),
    distillation=dict(type='vit_plugin.SimilarityDistillation'))
train_dataloader = dict(dataset=dict(data_prefix='teacher', with_label=False))
val_cfg = val_dataloader = val_evaluator = test_cfg = test_dataloader = test_evaluator = None
