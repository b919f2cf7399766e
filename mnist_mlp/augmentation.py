"""Randomly deformed images: other ones in each epoch, which depend on the seed and the epoch alone."""

import math

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from mnist_mlp.images import PIXELS, SIDE

AT_ONCE = 2_000
"""Images that are deformed together, so that the next ones reuse the same 30 MB or so."""


class Deformation:
    """Rotates, scales, shears, translates and bends each image at random.

    The elastic part is that of Simard et al. 2003, "Best practices for convolutional neural networks applied to visual
    document analysis": every pixel is displaced by Gaussian noise, smoothed by a Gaussian filter.

    Args:
        rotation: maximum angle, in degrees, in both directions.
        scaling: maximum fraction by which width and height grow or shrink, independently.
        shear: maximum displacement of a row, in pixels for each pixel of its distance from the center.
        translation: maximum displacement, in pixels, horizontally and vertically.
        elasticity: standard deviation, in pixels, of the elastic displacement.
        smoothness: standard deviation, in pixels, of the Gaussian filter.
    """

    def __init__(
        self,
        rotation: float = 0.0,
        scaling: float = 0.0,
        shear: float = 0.0,
        translation: float = 0.0,
        elasticity: float = 0.0,
        smoothness: float = 4.0,
    ) -> None:
        self.rotation = math.radians(rotation)
        self.scaling = scaling
        self.shear = shear
        self.translation = translation
        self.elasticity = elasticity
        self.modes = _smooth_modes(smoothness)

    def __call__(self, images: UInt8[Tensor, "records 784"], seed: int) -> UInt8[Tensor, "records 784"]:
        """Deform images, on the CPU.

        Args:
            images: with the values 0 to 255 of the files.
            seed: determines the deformations.
        """
        random = torch.Generator().manual_seed(seed)
        return torch.cat([self._deform(some.cpu(), random) for some in torch.split(images, AT_ONCE)]).to(images.device)

    def _deform(self, images: UInt8[Tensor, "some 784"], random: torch.Generator) -> UInt8[Tensor, "some 784"]:
        places = self._places(len(images), random)
        pixels = images.view(-1, 1, SIDE, SIDE).float()
        deformed = functional.grid_sample(pixels, places, align_corners=False)  # bilinear; 0 outside the image
        return deformed.round_().to(torch.uint8).view(-1, PIXELS)

    def _places(self, count: int, random: torch.Generator) -> Float[Tensor, "{count} 28 28 2"]:
        """Draw the place that each pixel comes from: x and y, from -1 to 1 across the image."""

        def uniform(maximum: float) -> Float[Tensor, " {count}"]:
            return (2 * torch.rand(count, generator=random) - 1) * maximum

        angle, shear = uniform(self.rotation), uniform(self.shear)
        width, height = 1 + uniform(self.scaling), 1 + uniform(self.scaling)
        across, down = uniform(2 / SIDE * self.translation), uniform(2 / SIDE * self.translation)
        cosine, sine = torch.cos(angle), torch.sin(angle)
        rows = [
            torch.stack([cosine / width, (shear * cosine - sine) / width, across], dim=1),
            torch.stack([sine / height, (shear * sine + cosine) / height, down], dim=1),
        ]
        centers = (torch.arange(SIDE) + 0.5) * (2 / SIDE) - 1
        y, x = torch.meshgrid(centers, centers, indexing="ij")
        straight = torch.stack([x.flatten(), y.flatten(), torch.ones(PIXELS)])
        places = (torch.stack(rows, dim=1) @ straight).view(count, 2, SIDE, SIDE)
        if self.elasticity:
            modes = self.modes.shape[1]
            noise = torch.randn(count, 2, modes, modes, generator=random)
            places += self.modes @ noise @ self.modes.T * (2 / SIDE * self.elasticity)
        return places.permute(0, 2, 3, 1)


def _smooth_modes(smoothness: float) -> Float[Tensor, "28 modes"]:
    # The covariance of smoothed noise along a row of pixels has few large eigenvalues: noise along their eigenvectors
    # gives the same displacements as filtering a whole image of noise, within 1%, at a fraction of the cost.
    distance = torch.arange(SIDE).unsqueeze(0) - torch.arange(SIDE).unsqueeze(1)
    covariance = torch.exp(-(distance.double() ** 2) / (4 * smoothness**2))
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > values[-1] * 1e-3
    return (vectors[:, kept] * values[kept].sqrt()).float()
