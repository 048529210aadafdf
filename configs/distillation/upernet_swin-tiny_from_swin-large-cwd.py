# UPerNet, Swin-T, 160k iterations, 512x512, distilled from the one with Swin-L: CWD on the scores
# of the pixels. Train the teacher first; 52.05 mIoU are published for it (README of
# microsoft/Swin-Transformer).
# Train: bash tools/dist_train.sh configs/distillation/upernet_swin-tiny_from_swin-large-cwd.py 8
# Published: none for this pair. 44.41 mIoU without a teacher (mmseg's model zoo). Weight and
# temperature are those of mmrazor's configs/distill/mmseg/cwd.
_base_ = '../segmentation/upernet_swin-tiny_160k_ade20k-512x512.py'

model = dict(
    type='vit_plugin.Distilled', student_type='EncoderDecoder',
    teacher=dict(
        config='configs/segmentation/upernet_swin-large-in22k-w12_160k_ade20k-640x640.py',
        checkpoint='work_dirs/upernet_swin-large-in22k-w12_160k_ade20k-640x640/iter_160000.pth'),
    distillation=dict(type='vit_plugin.CWD', weight=5., temperature=1.))
