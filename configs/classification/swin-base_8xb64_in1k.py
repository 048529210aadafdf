# Swin-B at 224, window 7, on ImageNet-1k, 300 epochs, batch 1024 (8 GPUs, each 2 x 64).
#   bash tools/dist_train.sh configs/classification/swin-base_8xb64_in1k.py 8 --amp
# Published: 83.5 % top-1 (Swin, table 1a, and the official weights; 83.3 in its section 4.1 and
# table 8).
_base_ = 'swin-tiny_8xb128_in1k.py'

model = dict(backbone=dict(arch='base', drop_path_rate=0.5), head=dict(in_channels=1024))
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(accumulative_counts=2)
