"""From the pixels of an RGB image to what a model takes."""
import torch.nn.functional as F
from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.ops import round_up

from .sizes import rename_sizes


class Pixels(nn.Module):
    """RGB pixels from 0 to 255 (B, 3, H, W) -> normalised and padded (B, 3, H', W').

    Computes what the toolkit's data preprocessor does in testing.

    Args:
        preprocessor: The model's ``data_preprocessor``, of any of the three toolkits.

    Raises:
        UserError: it pads to one size, or takes no normalisation of three channels.
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(self, preprocessor: nn.Module) -> None:
        super().__init__()
        settings = vars(preprocessor)
        # The pipelines load BGR images, which a model that converts them takes as RGB.
        self.is_rgb = bool(settings.get('to_rgb') or settings.get('_channel_conversion'))
        is_normalised = settings.get('_enable_normalize', False)
        for name in ('mean', 'std'):
            values = getattr(preprocessor, name).view(-1, 1, 1) if is_normalised else None
            self.register_buffer(name, values)
        if self.mean is not None and len(self.mean) not in (1, 3):
            raise UserError(f'data_preprocessor normalises {len(self.mean)} channels, but export '
                            'takes RGB images: a mean and std of 3 numbers')
        test = settings.get('test_cfg') or {}
        if test.get('size') is not None:
            raise UserError(f'data_preprocessor.test_cfg pads every image to {test["size"]}, which '
                            'a file for images of any size cannot. Set size_divisor there instead')
        self.divisor = settings.get('pad_size_divisor', 1) or 1
        if 'size_divisor' in settings:  # mmseg pads in testing only where test_cfg says so
            self.divisor = test.get('size_divisor') or 1
        self.pad_value = float(settings.get('pad_value', settings.get('pad_val', 0)) or 0)

    def forward(self, image: Tensor) -> Tensor:
        x = rename_sizes(image, (2, 3))
        x = x if self.is_rgb else x.flip(1)
        if self.mean is not None and self.std is not None:
            x = (x - self.mean) / self.std
        if self.divisor == 1:
            return x
        height, width = (round_up(length, self.divisor) - length for length in x.shape[2:])
        return F.pad(x, (0, width, 0, height), value=self.pad_value)

    def describe(self) -> dict[str, object]:
        """What is done to the pixels, for the file's metadata."""
        return dict(channels='RGB' if self.is_rgb else 'BGR',
                    mean=None if self.mean is None else self.mean.flatten().tolist(),
                    std=None if self.std is None else self.std.flatten().tolist(),
                    pad_to_multiple_of=self.divisor, pad_value=self.pad_value)
