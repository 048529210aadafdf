# The small detector learns the feature pyramid of the larger one as well.
_base_ = 'detector_small.py'

model = dict(
    type='vit_plugin.Distilled', student_type='MaskRCNN',
    teacher=dict(config='{{ fileDirname }}/detector.py',
                 checkpoint='work_dirs/quickstart/detector_pretrained/final.pth'),
    distillation=dict(type='vit_plugin.CWD', weight=10., student='neck', teacher='neck'))
