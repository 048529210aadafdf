# Swin-T at 224, window 7, on ImageNet-1k, 300 epochs, batch 1024.
#   bash tools/dist_train.sh configs/classification/swin-tiny_8xb128_in1k.py 8 --amp
# Published: 81.3 % top-1 (Swin, table 1a); the official weights reach 81.2 (get_started.md).
_base_ = ['../_base_/models/swin.py', '../_base_/datasets/imagenet_224.py',
          '../_base_/schedules/swin_300e.py', '../_base_/classification_runtime.py']
# Neither repeated augmentation nor EMA: they do not help Swin (appendix A2.1).
