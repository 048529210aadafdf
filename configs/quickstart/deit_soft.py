# The same with the teacher's probabilities instead of its decisions. With few labels they get half
# of the loss, as in hard distillation; the paper's weight on full ImageNet is 0.1.
_base_ = 'deit_hard.py'

model = dict(distillation=dict(type='vit_plugin.SoftDistillation', weight=0.5, _delete_=True))
# Vague at first, more decided later.
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='vit_plugin.DistillationScheduleHook', temperature=(4., 2.), by_epoch=False),
]
