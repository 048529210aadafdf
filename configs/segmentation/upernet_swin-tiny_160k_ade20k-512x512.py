# UPerNet, Swin-T, 160k iterations, 512x512.
# Train: bash tools/dist_train.sh configs/segmentation/upernet_swin-tiny_160k_ade20k-512x512.py 8
# Published: 44.41 mIoU, 45.79 with scales and flips, on ADE20K val (mmseg's model zoo); 44.51 and
# 45.81 (SwinTransformer/Swin-Transformer-Semantic-Segmentation); 46.1 with scales (Swin paper,
# table 3).
_base_ = ['../_base_/segmentation/upernet.py', '../_base_/segmentation/ade20k_512x512.py',
          '../_base_/segmentation/schedule_160k.py', '../_base_/segmentation/runtime.py']
