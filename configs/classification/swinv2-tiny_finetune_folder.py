# Swin V2-T fine-tuned on a folder of your images at 256, for one GPU (or a patient CPU).
#   python tools/train.py configs/classification/swinv2-tiny_finetune_folder.py \
#       --data-root FOLDER --cfg-options model.head.num_classes=K data_preprocessor.num_classes=K
# Folder and choices as in swin-tiny_finetune_folder.py; no published result either.
_base_ = 'swin-tiny_finetune_folder.py'

model = dict(backbone=dict(
    type='vit_plugin.SwinTransformerV2', img_size=256,
    init_cfg=dict(
        checkpoint='https://download.openmmlab.com/mmclassification/v0/swin-v2/'
                   'swinv2-tiny-w8_3rdparty_in1k-256px_20220803-e318968f.pth')))

train_pipeline = _base_.train_pipeline
train_pipeline[0].scale = 256  # LoadRandomResizedCrop
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 292  # ResizeEdge
test_pipeline[2].crop_size = 256  # CenterCrop
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
