# The same DeiT with a distillation token that learns the teacher's decisions.
_base_ = 'deit.py'

model = dict(
    type='vit_plugin.DistilledClassifier',
    backbone=dict(type='vit_plugin.DistilledDeiT'),
    head=dict(type='vit_plugin.DistilledDeiTHead'),
    teacher=dict(config='configs/quickstart/teacher_resnet.py',
                 checkpoint='work_dirs/quickstart/teacher/final.pth'),
    distillation=dict(type='vit_plugin.HardDistillation'))
