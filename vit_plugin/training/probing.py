"""Linear probing: the features of a frozen classifier once, then its last layer alone."""
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn

from vit_plugin.errors import UserError


def last_layer(model: BaseModel) -> nn.Linear:
    """The linear layer that makes a classifier's scores.

    Raises:
        UserError: the head has none, or several that do.
    """
    head = model.head
    found = [layer for layer in head.modules()
             if isinstance(layer, nn.Linear) and layer.out_features == head.num_classes]
    if len(found) != 1:
        raise UserError(f'probing fits one linear layer of {head.num_classes} classes, and '
                        f'{type(head).__name__} has {len(found)}')
    return found[0]


@torch.no_grad()
def features(model: BaseModel, batches: Iterable[dict]) -> tuple[Tensor, Tensor]:
    """Inputs of the last layer (N, C) and labels (N) of the whole data set, on the CPU."""
    model.eval()
    inputs, labels = [], []
    for batch in batches:
        data = model.data_preprocessor(batch)
        inputs.append(model.extract_feat(data['inputs'], stage='pre_logits').float().cpu())
        labels += [int(sample.gt_label) for sample in data['data_samples']]
    return torch.cat(inputs), torch.tensor(labels)


def fit_linear(layer: nn.Linear, x: Tensor, y: Tensor, weight_decay: float) -> float:
    """Fit the layer to features (N, C) and labels (N), and return the loss that it ends with.

    Logistic regression: the mean cross-entropy plus ``weight_decay / 2`` times the squared
    weights, from zeros by L-BFGS, in double precision, until the gradient vanishes. The problem is
    convex, so neither seed nor learning rate matter.
    """
    x = x.double()
    weight = torch.zeros(layer.weight.shape, dtype=x.dtype, requires_grad=True)
    bias = torch.zeros(len(weight), dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=1000, tolerance_grad=1e-6,
                                  tolerance_change=1e-12, line_search_fn='strong_wolfe')

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(F.linear(x, weight, bias), y)
        loss = loss + weight_decay / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.copy_(bias)
    return closure().item()
