"""The learning rates that a config's optimizer really gives to each layer."""
from dataclasses import dataclass

from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from mmengine.optim import build_optim_wrapper

from .drawing import finish
from .subject import PictureError, Subject


@dataclass(frozen=True)
class Rate:
    """Parameters of one layer with equal settings; ``lr`` is None where nothing is learnt."""

    layer: str
    lr: float | None
    weight_decay: float


def layer_of(parameter: str) -> str:
    """The part of the model that a parameter belongs to: a block, or what lies beside them."""
    part, *rest = parameter.split('.')
    if part != 'backbone':
        return part
    if rest[0] == 'stages':
        return '.'.join([part, *rest[:4 if rest[2] == 'blocks' else 3]])
    return '.'.join([part, *rest[:2 if rest[0] == 'layers' else 1]])


def layer_rates(subject: Subject) -> dict[Rate, int]:
    """The rates of all layers in the model's order, each with its number of weights."""
    config = subject.cfg.get('optim_wrapper')
    if config is None:
        raise PictureError('the config has no optim_wrapper, whose learning rates lr shows')
    # The wrapper's type (mixed precision may need a GPU) has no say in the groups.
    keys = ('optimizer', 'constructor', 'paramwise_cfg')
    config = {key: config[key] for key in keys if key in config}
    with subject.scope():
        wrapper = build_optim_wrapper(subject.model, config)
    groups = {parameter: group for group in wrapper.param_groups for parameter in group['params']}
    rates: dict[Rate, int] = {}
    for name, parameter in subject.model.named_parameters():
        rate = Rate(layer_of(name), None, 0.)
        if parameter.requires_grad and parameter in groups:
            group = groups[parameter]
            rate = Rate(layer_of(name), group['lr'], group.get('weight_decay', 0.))
        rates[rate] = rates.get(rate, 0) + parameter.numel()
    return rates


def note_of(layer: dict[Rate, int]) -> str:
    """Rates, number of weights, and how many are frozen, of one layer."""
    numbers = sorted({rate.lr for rate in layer if rate.lr is not None})
    text = ', '.join(f'{lr:.1e}' for lr in numbers)
    frozen = sum(count for rate, count in layer.items() if rate.lr is None)
    note = f'{text:10}{sum(layer.values()):,} weights'
    if not frozen:
        return note
    return f'{note}, {frozen:,} frozen' if numbers else f'{note}, frozen'


def draw(subject: Subject) -> Figure:
    """One line for each layer: its rates, and how many weights have them."""
    rates = layer_rates(subject)
    layers: dict[str, dict[Rate, int]] = {}
    for rate, count in rates.items():
        layers.setdefault(rate.layer, {})[rate] = count
    names = list(layers)
    figure, axis = pyplot.subplots(figsize=(9, 1.8 + 0.24 * len(names)), layout='constrained')
    for decayed, label, colour, size in ((False, 'without weight decay', 'C1', 10),
                                         (True, 'with weight decay', 'C0', 5)):
        dots = [(rate.lr, names.index(rate.layer)) for rate in rates
                if rate.lr is not None and bool(rate.weight_decay) == decayed]
        if dots:
            axis.plot(*zip(*dots), 'o', label=label, color=colour, markersize=size)
    for y, layer in enumerate(layers.values()):
        axis.text(1.01, y, note_of(layer), va='center', fontsize=7, family='monospace',
                  transform=axis.get_yaxis_transform())
    axis.set(yticks=range(len(names)), xscale='log', xlabel='learning rate before any schedule',
             ylim=(len(names) - 0.5, -0.5))
    axis.xaxis.set_minor_formatter(NullFormatter())  # the numbers are on the right
    axis.set_yticklabels(names, fontsize=8)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return finish(figure, f'Learning rate of each layer\n{subject.name}', '')
