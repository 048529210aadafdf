"""`vit_plugin.ops.window_attention` on the CPU, in groups of windows.

One gather and one scatter for each group stand for pad, roll, partition and their inverses.
"""
from functools import partial
from typing import Any, Sequence  # noqa: UP035  # torch 2.4's operators know this Sequence alone

import torch
from torch import Tensor, nn
from torch.autograd import Function

from ..attention import Map, scaled_dot_product
from ..attention import attention as attention_by_products
from ..attention import window_attention as reference
from ..recompute import gradients
from ..windows import Shift, Size, crop, pad_to_windows
from .products import multiplies_bfloat16, product
from .window_groups import window_groups

# Up to so many tokens, whose scores are still few, bfloat16 is attended by products: torch's fused
# operator takes 1.3 to 1.9 times as long (AMD EPYC, torch 2.15); in float32 as long.
SHORT = 1600


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None,
              scale: float | None = None, drop: Map | None = None) -> Tensor:
    """`vit_plugin.ops.attention` without dropout, image by image; all have the bias, if any.

    The scores of one image stay in the cache, and in memory that malloc keeps.
    """
    b, heads, n, _ = q.shape
    out = v.new_empty(b, n, heads, v.shape[-1]).transpose(1, 2)
    for image in range(b):
        one = slice(image, image + 1)
        out[one] = attention_by_products(q[one], k[one], v[one], bias, scale)
    return out


def is_unfused(q: Tensor) -> bool:
    """True for queries (..., N, C) whose attention is faster by products."""
    return q.dtype == torch.bfloat16 and q.shape[-2] <= SHORT and multiplies_bfloat16()


def window_attention(x: Tensor, project: Map, project_back: Map, bias: Tensor, window: Size,
                     shift: Shift = (0, 0), scale: float | None = None, drop: Map | None = None
                     ) -> Tensor:
    """`vit_plugin.ops.window_attention` without dropout and gradients.

    Both projections see the tokens of a group at a time, and padding once.
    """
    b, h, w, c = x.shape
    tokens, bias = x.reshape(b * h * w, c), bias.contiguous()
    padded = h % window[0] or w % window[1]
    padding = project(x.new_zeros(1, c)) if padded else None
    out: Tensor | None = None
    for part, group in window_groups(b, (h, w), window, shift):
        qkv = group.place(project(tokens[part].index_select(0, group.numbers())), padding)
        q, k, v = split_heads(qkv, 3, len(bias))
        attend = attention_by_products if is_unfused(q) else scaled_dot_product
        y = attend(q, k, v, group.masked(bias).to(q.dtype), scale)
        y = project_back(group.take(y.transpose(1, 2)))
        if out is None:
            out = y.new_empty(b * h * w, y.shape[-1])
        out[part].index_copy_(0, group.numbers(), y)
    assert out is not None, 'a batch of 0'
    return out.view(b, h, w, -1)


def compiled_window_attention(x: Tensor, project: nn.Linear, project_back: nn.Linear, bias: Tensor,
                              window: Size, shift: Shift = (0, 0), scale: float | None = None,
                              drop: Map | None = None) -> Tensor:
    """`window_attention` as one operator."""
    out: Tensor = operator(x, project.weight, project.bias, project_back.weight, project_back.bias,
                           bias, window, shift, scale)
    return out


@torch.library.custom_op('vit_plugin::window_self_attention', mutates_args=())
def operator(x: Tensor, qkv: Tensor, qkv_bias: Tensor | None, proj: Tensor,
             proj_bias: Tensor | None, bias: Tensor, window: Sequence[int], shift: Sequence[int],
             scale: float | None) -> Tensor:
    """`window_attention` of the weights and biases of both projections."""
    if len(x) == 0:
        return x.new_empty(*x.shape[:-1], proj.shape[0])
    return window_attention(
        x, partial(product, weight=qkv, bias=qkv_bias),
        partial(product, weight=proj, bias=proj_bias), bias,
        (window[0], window[1]), (shift[0], shift[1]), scale)


@operator.register_fake
def like(x: Tensor, qkv: Tensor, qkv_bias: Tensor | None, proj: Tensor, *others: object) -> Tensor:
    """An empty tensor, of the shape of the result."""
    return x.new_empty(*x.shape[:-1], proj.shape[0])


def trained_window_attention(x: Tensor, project: Map, project_back: Map, bias: Tensor,
                             window: Size, shift: Shift = (0, 0), scale: float | None = None,
                             drop: Map | None = None) -> Tensor:
    """`vit_plugin.ops.window_attention` without dropout, with gradients."""
    size = (x.shape[1], x.shape[2])
    qkv = project(pad_to_windows(x, window))
    out: Tensor = GroupedAttention.apply(qkv, bias, window, shift, scale)
    return project_back(crop(out, size))


class GroupedAttention(Function):
    """Queries, keys and values (B, H, W, 3C) of whole windows -> (B, H, W, C).

    It keeps its inputs, and computes the scores twice.
    """

    @staticmethod
    def forward(qkv: Tensor, bias: Tensor, window: Size, shift: Shift, scale: float | None
                ) -> Tensor:
        return window_attention(qkv, nn.Identity(), nn.Identity(), bias, window, shift, scale)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[object, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.settings = inputs[2:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        if torch.is_grad_enabled():
            return gradients(plain_attention, (*inputs, *ctx.settings), grads,
                             ctx.needs_input_grad)
        return (*attention_backward(grads[0], *inputs, *ctx.settings), None, None, None)


def plain_attention(qkv: Tensor, bias: Tensor, *settings: Any) -> Tensor:
    """The formula of `GroupedAttention`."""
    return reference(qkv, nn.Identity(), nn.Identity(), bias, *settings)


def attention_backward(grad: Tensor, qkv: Tensor, bias: Tensor, window: Size, shift: Shift,
                       scale: float | None) -> tuple[Tensor, Tensor]:
    """Gradients of `GroupedAttention` to qkv and bias, given that to its result."""
    b, h, w, c = qkv.shape
    tokens, grad_out, heads = qkv.reshape(-1, c), grad.reshape(-1, c // 3), len(bias)
    # Half precision would overflow where the fused attention of the forward does not.
    precise = torch.promote_types(qkv.dtype, torch.float32)
    scale = (c // 3 // heads)**-0.5 if scale is None else scale
    grad_qkv = torch.empty_like(tokens)
    grad_bias = torch.zeros_like(bias, dtype=precise)
    for part, group in window_groups(b, (h, w), window, shift):
        places = group.numbers()
        windows = group.place(tokens[part].index_select(0, places)).to(precise)
        grad_y = group.place(grad_out[part].index_select(0, places)).to(precise)
        q, k, v = split_heads(windows, 3, heads).contiguous()
        q *= scale
        grad_y = split_heads(grad_y, 1, heads)[0].contiguous()
        scores = (q @ k.mT + group.masked(bias).to(precise)).requires_grad_()
        with torch.enable_grad():
            weights = scores.softmax(-1)
        grad_scores, = torch.autograd.grad(weights, scores, grad_y @ v.mT)
        weights = weights.detach()
        grad_bias += grad_scores.sum(0)
        grads = torch.empty_like(windows)
        grad_q, grad_k, grad_v = split_heads(grads, 3, heads)
        grad_q.copy_(grad_scores @ k).mul_(scale)
        grad_k.copy_(grad_scores.mT @ q)
        grad_v.copy_(weights.mT @ grad_y)
        grad_qkv[part].index_copy_(0, places, group.take(grads).to(qkv.dtype))
    return grad_qkv.view(b, h, w, c), grad_bias.to(bias.dtype)


def split_heads(x: Tensor, parts: int, heads: int) -> Tensor:
    """(n, N, parts*heads*C) -> (parts, n, heads, N, C), a view."""
    split: Tensor = x.unflatten(2, (parts, heads, -1))
    return split.permute(2, 0, 3, 1, 4)
