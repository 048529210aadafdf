"""Layer-wise learning-rate decay."""
from collections.abc import Callable

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from vit_plugin.errors import UserError, did_you_mean
from vit_plugin.registry import OPTIM_WRAPPER_CONSTRUCTORS

# Last parts of the names of what is never decayed, beside norms and biases.
UNDECAYED = ('cls_token', 'dist_token', 'register_tokens', 'pos_embed', 'absolute_pos_embed',
             'relative_position_bias_table', 'gamma1.weight', 'gamma2.weight', 'logit_scale',
             'q_bias', 'v_bias', 'cpb_mlp.0.weight', 'cpb_mlp.2.weight')

# What paramwise_cfg may hold: the rate, and what mmengine reads.
KEYS = ('layer_decay_rate', 'custom_keys', 'norm_decay_mult', 'bias_decay_mult', 'flat_decay_mult',
        'dwconv_decay_mult', 'bias_lr_mult', 'dcn_offset_lr_mult', 'bypass_duplicate')

# What mmdet's and mmseg's constructors read instead.
STOCK_KEYS = ('decay_rate', 'num_layers', 'decay_type')

# What FSDP, torch.compile and activation checkpointing put into the names of parameters.
WRAPPERS = ('_fsdp_wrapped_module.', '_orig_mod.', '_checkpoint_wrapped_module.')

# Name of a parameter, prefix of the backbone -> its depth and the number of depths.
DepthOf = Callable[[str, str], tuple[int, int]]


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Lower learning rates for earlier layers, for classifiers, detectors and segmentors.

    The rate of a parameter is ``lr * layer_decay_rate ** (D - 1 - depth)`` (BEiT, appendix;
    Clark et al., ELECTRA, section 3.1). The backbone's ``get_layer_depth`` gives the depth and
    the number of depths D:

    ======  ==========================  =========================================  ==============
    depth   DeiT                        Swin                                       rate
    ======  ==========================  =========================================  ==============
    0       patch embedding, tokens,    patch embedding, absolute position         r ** (D-1)
            position
    i + 1   block i                     block i, counted through all stages; a     r ** (D-2-i)
                                        patch merging is as deep as the block
                                        before it
    D - 1   final norm; necks, heads    norms of the outputs; necks, heads         1
    ======  ==========================  =========================================  ==============

    D is 14 for the DeiTs and Swin-T, 26 for Swin-S, -B and -L (2 more than blocks are built).
    With r = 0.75, DeiT's patch embedding learns at 0.024, its first block at 0.032, its last at
    0.75 and its head at 1 times ``lr``.

    Weight decay is 0 for class, distillation and register tokens, positions, relative position
    bias tables, LayerScale, norms, biases, and Swin V2's logit scales and bias MLPs, where the
    optimizer's config has a ``weight_decay``. Frozen parameters are left out. Parameters with
    equal settings share a group.

    Args:
        optim_wrapper_cfg: mmengine's; its optimizer needs ``lr``.
        paramwise_cfg: ``layer_decay_rate``, the r above in (0, 1], is required. The other keys
            are mmengine's (``DefaultOptimWrapperConstructor``), and win over the defaults for
            weight decay; their ``lr_mult`` multiplies the rate of the table.

    Raises:
        UserError: ``layer_decay_rate`` or ``lr`` is missing or out of range, ``paramwise_cfg``
            has another key, or the model has no backbone with ``get_layer_depth``.
    """

    base_lr: float
    paramwise_cfg: dict

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        check_keys(self.paramwise_cfg)
        rate = self.paramwise_cfg.get('layer_decay_rate')
        if not isinstance(rate, (int, float)) or not 0 < rate <= 1:
            raise UserError(
                f'paramwise_cfg has layer_decay_rate={rate!r}, but must have a number in (0, 1]')
        if self.base_lr is None:
            raise UserError('the optimizer has no lr, but layer-wise decay needs one')
        self.decay_rate = rate
        if self.base_wd is not None:
            self.paramwise_cfg = {'norm_decay_mult': 0., 'bias_decay_mult': 0.,
                                  **self.paramwise_cfg}

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '',
                   is_dcn_module: int | float | None = None) -> None:
        """Add the parameters of a model to ``params``; mmengine's rules, then those above."""
        if prefix:  # mmengine descends with this method
            super().add_params(params, module, prefix, is_dcn_module)
            return
        depth_of = find_layer_depth(module)
        names = {parameter: name for name, parameter in module.named_parameters()}
        groups: list[dict] = []
        super().add_params(groups, module, prefix, is_dcn_module)
        merged: dict[str, dict] = {}
        for group in groups:
            parameters = group.pop('params')
            if not parameters[0].requires_grad:
                continue
            self.add_settings(group, names[parameters[0]], depth_of)
            settings = repr(sorted(group.items()))
            merged.setdefault(settings, dict(group, params=[]))['params'] += parameters
        params += merged.values()

    def add_settings(self, group: dict, name: str, depth_of: DepthOf) -> None:
        """Set the learning rate and, where no rule of mmengine did, the weight decay."""
        for wrapper in WRAPPERS:
            name = name.replace(wrapper, '')
        depth, num_depths = depth_of(name, 'backbone.')
        scale = self.decay_rate**(num_depths - 1 - depth)
        group['lr'] = group.get('lr', self.base_lr) * scale
        group['layer_depth'] = depth
        if self.base_wd is not None and name.endswith(UNDECAYED):
            group.setdefault('weight_decay', 0.)


def check_keys(paramwise_cfg: dict) -> None:
    """Raise `UserError` for a key that would change nothing."""
    for key, value in paramwise_cfg.items():
        given = f'paramwise_cfg has {key}={value!r}'
        if key in STOCK_KEYS:
            raise UserError(f"{given}, which mmdet's and mmseg's constructors read. This one takes "
                            'layer_decay_rate instead of decay_rate, and asks the backbone how '
                            'deep each layer is: leave num_layers and decay_type out')
        if key not in KEYS:
            near = did_you_mean(key, KEYS) or f', it takes {", ".join(KEYS)}'
            raise UserError(f'{given}, which this constructor does not read{near}')


def find_layer_depth(model: nn.Module) -> DepthOf:
    """The backbone's ``get_layer_depth``, or raise `UserError`."""
    backbone = getattr(model, 'backbone', None)
    depth_of = getattr(backbone, 'get_layer_depth', None)
    if depth_of is None:
        raise UserError(
            'layer-wise learning-rate decay needs a model whose backbone has '
            f'get_layer_depth(param_name, prefix), got {type(model).__name__} with '
            f'backbone={type(backbone).__name__}')
    return depth_of
