"""Time, memory and operations of steps, and the rates of the machine."""
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

Step = Callable[[], Any]


def seconds(step: Step, device: torch.device) -> float:
    """Wall-clock seconds of one step."""
    if device.type == 'cpu':
        start = time.perf_counter()
        step()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    step()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def cpu_seconds(step: Step) -> float:
    """Processor seconds of one step, over all threads."""
    start = time.process_time()
    step()
    return time.process_time() - start


def peak_bytes(step: Step, device: torch.device) -> float:
    """Peak memory of one step in bytes, above what was held before it."""
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    with profile(profile_memory=True, activities=[ProfilerActivity.CPU]) as found:
        step()
    events = [event for event in found.profiler.kineto_results.events()
              if event.name() == '[memory]']
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def flops(step: Step) -> int:
    """Floating-point operations of a step."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def in_turns(steps: dict[str, Step], take: Callable[[Step], float], rounds: int
             ) -> dict[str, list[float]]:
    """``take(step)`` of every step in every round, after two warm-up calls; the order rotates."""
    for step in steps.values():
        step(), step()
    values: dict[str, list[float]] = {title: [] for title in steps}
    titles = list(steps)
    for _ in range(rounds):
        for title in titles:
            values[title].append(take(steps[title]))
        titles.append(titles.pop(0))
    return values


def summarise(values: dict[str, list[float]], unit: float) -> list[dict[str, Any]]:
    """One row for each title: median, quartiles, and the median of the ratios to the first.

    Args:
        values: Of every round, by title.
        unit: Divisor of the values.
    """
    reference = next(iter(values.values()))
    rows = []
    for title, taken in values.items():
        ratios = [mine / theirs for mine, theirs in zip(taken, reference)]
        low, middle, high = np.quantile(taken, (0.25, 0.5, 0.75)).tolist()
        rows.append(dict(title=title, median=middle / unit, low=low / unit, high=high / unit,
                         ratio=statistics.median(ratios)))
    return rows


def gemm_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP per second of the best of several square matrix products."""
    n = 2048 if device.type == 'cpu' else 8192
    a, b = torch.randn(2, n, n, device=device, dtype=dtype)
    return 2 * n**3 / min(seconds(lambda: a @ b, device) for _ in range(8))


def copy_rate() -> float:
    """Bytes per second, read and written, of the best of several copies that no cache holds."""
    source = torch.randn(2**26)
    target = torch.empty_like(source)
    target.copy_(source)
    best = min(seconds(lambda: target.copy_(source), source.device) for _ in range(4))
    return 2 * source.numel() * source.element_size() / best
