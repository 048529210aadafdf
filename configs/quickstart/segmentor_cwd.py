# The small segmentor learns the larger one's scores of the pixels as well.
_base_ = 'segmentor_small.py'

model = dict(
    type='vit_plugin.Distilled', student_type='EncoderDecoder',
    teacher=dict(config='{{ fileDirname }}/segmentor.py',
                 checkpoint='work_dirs/quickstart/segmentor_pretrained/final.pth'),
    distillation=dict(type='vit_plugin.CWD'))
