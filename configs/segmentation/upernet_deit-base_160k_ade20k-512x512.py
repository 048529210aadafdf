# UPerNet, DeiT-B, simple pyramid from the last block, 160k iterations, 512x512.
# Train: bash tools/dist_train.sh configs/segmentation/upernet_deit-base_160k_ade20k-512x512.py 8
# Published: none for this neck; mmseg's, from four blocks, has 45.37 mIoU (see
# upernet_deit-base-mln_160k_ade20k-512x512.py).
_base_ = ['../_base_/segmentation/upernet.py', '../_base_/segmentation/ade20k_512x512.py',
          '../_base_/segmentation/schedule_160k.py', '../_base_/segmentation/runtime.py']

model = dict(
    backbone=dict(
        _delete_=True, type='vit_plugin.DeiT', arch='base', img_size=512, out_type='featmap',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint='https://dl.fbaipublicfiles.com/deit/'
                                                    'deit_base_patch16_224-b5f2ef4d.pth')),
    neck=dict(type='vit_plugin.SimplePyramid', in_channels=768, out_channels=256),
    decode_head=dict(in_channels=[256, 256, 256, 256]),
    auxiliary_head=dict(in_channels=256))
# ln: mmseg's configs/vit names only 'norm', which its ViT's layer norms (ln1, ln2) do not match.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(
    pos_embed=dict(decay_mult=0.), cls_token=dict(decay_mult=0.), ln=dict(decay_mult=0.))))
