# The same DeiT with a distillation token that learns the teacher's decisions.
_base_ = 'deit.py'

model = dict(
    type='vit_plugin.DistilledClassifier',
    backbone=dict(type='vit_plugin.DistilledDeiT'),
    head=dict(type='vit_plugin.DistilledDeiTHead'),
    teacher=dict(config='{{ fileDirname }}/teacher_resnet.py',
                 checkpoint='work_dirs/quickstart/teacher/final.pth'),
    distillation=dict(type='vit_plugin.HardDistillation'))
# A teacher under 90 % would teach little: check it first. Log what share of the time it takes.
custom_hooks = [
    dict(type='vit_plugin.TeacherCheckHook', min_accuracy=90.),
    dict(type='vit_plugin.TeacherTimeHook'),
]
