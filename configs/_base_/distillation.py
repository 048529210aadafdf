# What distillation adds to the training of a student; the soft configs replace the loss.
distilled = dict(
    type='vit_plugin.DistilledClassifier',
    distillation=dict(type='vit_plugin.HardDistillation'))
distilled_deit = dict(
    **distilled,
    backbone=dict(type='vit_plugin.DistilledDeiT'),
    head=dict(type='vit_plugin.DistilledDeiTHead'))
distillation_hooks = [
    dict(type='vit_plugin.SeedHook'),
    dict(type='vit_plugin.TeacherCheckHook', min_accuracy=60.),
    dict(type='vit_plugin.TeacherTimeHook'),
]
