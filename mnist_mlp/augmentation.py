"""Deformed images: each epoch trains on its own, which depend on the seed and the epoch alone."""

import math

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

SIDE = 28
AT_ONCE = 2_000
"""Images deformed together: what they take, some 30 MB, is soon used again."""


class Deformation:
    """Rotates, scales, shears, shifts and bends images, each at random.

    The elastic part is that of Simard et al. 2003: every pixel is displaced by Gaussian noise that a Gaussian filter
    has made smooth.

    Args:
        rotation: degrees, at most, to either side.
        scaling: the part by which width and height, each, grow or shrink at most.
        shear: pixels, at most, by which a row is displaced for each pixel of its distance from the centre.
        translation: pixels, at most, in both directions.
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
        self.bends = _smooth_bends(smoothness)

    def __call__(self, images: UInt8[Tensor, "records 784"], seed: int) -> UInt8[Tensor, "records 784"]:
        """Deform images, on the CPU.

        Args:
            images: as in the files.
            seed: determines the deformations.
        """
        random = torch.Generator().manual_seed(seed)
        return torch.cat([self._deform(some.cpu(), random) for some in torch.split(images, AT_ONCE)]).to(images.device)

    def _deform(self, images: UInt8[Tensor, "some 784"], random: torch.Generator) -> UInt8[Tensor, "some 784"]:
        places = self._places(len(images), random)
        pixels = images.view(-1, 1, SIDE, SIDE).float()
        deformed = functional.grid_sample(pixels, places, align_corners=False)  # bilinear; 0 beyond the border
        return deformed.round_().to(torch.uint8).view(-1, SIDE * SIDE)

    def _places(self, count: int, random: torch.Generator) -> Float[Tensor, "{count} 28 28 2"]:
        """Draw where each pixel comes from, from -1 to 1 across the image."""

        def uniform(most: float) -> Float[Tensor, " {count}"]:
            return (2 * torch.rand(count, generator=random) - 1) * most

        angle, shear = uniform(self.rotation), uniform(self.shear)
        width, height = 1 + uniform(self.scaling), 1 + uniform(self.scaling)
        across, down = uniform(2 / SIDE * self.translation), uniform(2 / SIDE * self.translation)
        cosine, sine = torch.cos(angle), torch.sin(angle)
        rows = [
            torch.stack([cosine / width, (shear * cosine - sine) / width, across], dim=1),
            torch.stack([sine / height, (shear * sine + cosine) / height, down], dim=1),
        ]
        centres = (torch.arange(SIDE) + 0.5) * (2 / SIDE) - 1
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        straight = torch.stack([x.flatten(), y.flatten(), torch.ones(SIDE * SIDE)])
        places = (torch.stack(rows, dim=1) @ straight).view(count, 2, SIDE, SIDE)
        if self.elasticity:
            ways = self.bends.shape[1]
            noise = torch.randn(count, 2, ways, ways, generator=random)
            places += self.bends @ noise @ self.bends.T * (2 / SIDE * self.elasticity)
        return places.permute(0, 2, 3, 1)


def _smooth_bends(smoothness: float) -> Float[Tensor, "28 ways"]:
    # Smoothed noise along a row of pixels has a covariance of few large eigenvalues: noise along their eigenvectors
    # gives the same displacements as filtering a whole picture of noise, within a hundredth, at a fraction of the cost.
    distance = torch.arange(SIDE).unsqueeze(0) - torch.arange(SIDE).unsqueeze(1)
    covariance = torch.exp(-(distance.double() ** 2) / (4 * smoothness**2))
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > values[-1] * 1e-3
    return (vectors[:, kept] * values[kept].sqrt()).float()
