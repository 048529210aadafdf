# The same with the teacher's probabilities instead of its decisions.
_base_ = 'deit_hard.py'

model = dict(distillation=dict(type='vit_plugin.SoftDistillation', weight=0.5, _delete_=True))
