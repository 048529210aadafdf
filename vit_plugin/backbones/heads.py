"""Heads of the DeiTs, with the state-dict keys of mmpretrain's heads."""
from collections.abc import Sequence
from typing import NoReturn, TypeAlias

from mmpretrain.models.heads import VisionTransformerClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.registry import MODELS

# A backbone's outputs; the last is a token, or a pair of tokens.
Feats: TypeAlias = Sequence[Tensor | Sequence[Tensor]]


@MODELS.register_module()
class DeiTHead(VisionTransformerClsHead):
    """Class token (B, C) -> scores (B, num_classes).

    mmpretrain's ``VisionTransformerClsHead``, but initialised as in DeiT's code: weights from
    N(0, 0.02), where mmpretrain's are 0.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the token.
        **kwargs: Those of mmpretrain's head: ``loss``, ``hidden_dim``, ``topk``, ``cal_acc`` ...
    """

    def __init__(self, num_classes: int, in_channels: int, **kwargs: object) -> None:
        kwargs.setdefault('init_cfg', dict(type='TruncNormal', layer='Linear', std=0.02))
        super().__init__(num_classes, in_channels, **kwargs)


@MODELS.register_module()
class DistilledDeiTHead(DeiTHead):
    """Class and distillation token, (B, C) each -> the mean of their scores (B, num_classes).

    ::

        cls  -> layers.head      -> scores of the labels  ┐
        dist -> layers.head_dist -> scores of the teacher ┴ mean: the prediction

    `DistilledClassifier` trains each classifier on its own; alone this head only predicts.
    DeiT, section 4 "Classification with our approach". Arguments are those of `DeiTHead`.
    """

    def _init_layers(self) -> None:
        super()._init_layers()
        self.layers.add_module('head_dist',
                               nn.Linear(self.layers.head.in_features, self.num_classes))

    def pre_logits(self, feats: Feats) -> tuple[Tensor, Tensor]:
        """The pair of tokens of the last output, after the hidden layer if there is one.

        Raises:
            UserError: the last output is not a pair of tokens.
        """
        tokens = feats[-1]
        if not isinstance(tokens, (tuple, list)) or len(tokens) != 2:
            raise UserError('DistilledDeiTHead needs the pair (class token, distillation token) '
                            "of a DistilledDeiT with out_type='cls_token'")
        if self.hidden_dim is not None:
            tokens = [self.layers.act(self.layers.pre_logits(token)) for token in tokens]
        return tokens[0], tokens[1]

    def token_scores(self, feats: Feats) -> tuple[Tensor, Tensor]:
        """The scores (B, num_classes) of the class token and of the distillation token."""
        cls_token, dist_token = self.pre_logits(feats)
        return self.layers.head(cls_token), self.layers.head_dist(dist_token)

    def forward(self, feats: Feats) -> Tensor:
        """The prediction (B, num_classes)."""
        cls_score, dist_score = self.token_scores(feats)
        return (cls_score + dist_score) / 2

    def loss(self, feats: Feats, data_samples: list[DataSample], **kwargs: object) -> NoReturn:
        """Always raises `UserError`: without a teacher nothing can train the second token."""
        raise UserError(
            'DistilledDeiTHead was trained without a teacher, which its distillation token learns '
            "from. Use type='vit_plugin.DistilledClassifier' with teacher=..., or DeiT with "
            'DeiTHead to learn from labels alone')
