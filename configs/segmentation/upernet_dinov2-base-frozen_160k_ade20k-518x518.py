# UPerNet, DINOv2-B with registers, frozen; pyramid and heads are trained.
# Train: bash tools/dist_train.sh \
#     configs/segmentation/upernet_dinov2-base-frozen_160k_ade20k-518x518.py 8
# Published: none for this recipe, and nothing of it is tuned.
_base_ = 'upernet_dinov2-base_160k_ade20k-518x518.py'

model = dict(backbone=dict(frozen_stages=12, drop_path_rate=0.))
