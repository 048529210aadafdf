"""The time of a step by kind of operator, beside the least that each could take."""
import math
from typing import Any

from torch.profiler import ProfilerActivity, profile

from .measure import Step

# Kinds of operators by the names that torch.profiler gives them; the rest is 'other'.
KINDS = {
    'products': ('addmm', 'mm', 'bmm', '_linear_pointwise',
                 # the first of which knows the FLOP of the second
                 'conv2d', 'mkldnn_convolution', 'convolution_backward'),
    'attention': ('_scaled_dot_product_flash_attention_for_cpu',
                  '_scaled_dot_product_flash_attention_for_cpu_backward'),
    'GELU': ('gelu', 'gelu_', 'gelu_backward'),
    'norms': ('native_layer_norm', 'native_layer_norm_backward'),
    'additions': ('add', 'add_'),
    'copies': ('copy_', 'index_select', 'index_copy_', 'index', 'index_put_', 'stack', 'cat'),
    'softmax': ('_softmax', '_softmax_backward_data'),
}


def operators(step: Step, rate: float, bandwidth: float, repeats: int = 5
              ) -> list[dict[str, Any]]:
    """The kinds of operators of a step on the CPU, those that take longest first.

    Args:
        step: What is looked at; it has run before.
        rate: FLOP per second of a large matrix product.
        bandwidth: Bytes per second of a large copy, read and written.
        repeats: How often it runs.

    Returns:
        Rows with ``kind``, ``seconds`` of one step, and ``floor``: the least that these operators
        could take. Products and attention do their FLOP at ``rate``; others read their inputs, of
        float32, and write one as large as the largest, at ``bandwidth``. What is in the cache
        takes less than that.
    """
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True, with_flops=True) as found:
        for _ in range(repeats):
            step()
    kinds = {f'aten::{name}': kind for kind, names in KINDS.items() for name in names}
    rows: dict[str, list[float]] = {}
    for event in found.key_averages(group_by_input_shape=True):
        if not event.key.startswith(('aten::', 'mkldnn::')):
            continue
        kind = kinds.get(event.key.replace('mkldnn::', 'aten::'), 'other')
        row = rows.setdefault(kind, [0., 0.])
        row[0] += event.self_cpu_time_total / 1e6 / repeats
        row[1] += event.count / repeats * floor(kind, event, rate, bandwidth)
    table = [dict(kind=kind, seconds=row[0], floor=row[1]) for kind, row in rows.items()]
    return sorted(table, key=lambda row: -row['seconds'])


def floor(kind: str, event: Any, rate: float, bandwidth: float) -> float:
    """The least seconds of one call."""
    shapes = [shape for shape in event.input_shapes if shape]
    if kind == 'products':
        return event.flops / event.count / rate
    if kind == 'attention':
        # Queries and keys; forward two products, backward five.
        *query, tokens, dim = shapes[-3]
        keys = shapes[-2][-2]
        products = 5 if 'backward' in event.key else 2
        return products * 2 * math.prod(query) * tokens * keys * dim / rate
    if kind == 'other':
        return 0.
    sizes = [math.prod(shape) for shape in shapes]
    return 4 * (sum(sizes) + max(sizes, default=0)) / bandwidth
