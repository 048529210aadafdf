# What every segmentation config shares; values are mmseg's defaults, but a run that is killed and
# resumed ends as one that was not, and label maps are checked.
default_scope = 'mmseg'
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=None, deterministic=False)
custom_hooks = [dict(type='vit_plugin.LabelCheckHook'), dict(type='vit_plugin.SeedHook')]
tta_model = dict(type='SegTTAModel')
