"""What the posterior of a Gaussian code may be: the Gaussian itself, or what a flow makes of it."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from aeexp.contracts import Family
from aeexp.latents.flows import Planar as PlanarMap
from aeexp.latents.flows import Transform, make_chain
from aeexp.latents.posteriors import Flowed, Normal, read_normal
from aeexp.ranges import Count, Depth


@final
class Diagonal(Family):
    """Independent units: N(mean, diag(variance)) (Kingma and Welling 2014).

    Formula: q(z|x) = Π_j N(z_j; μ_j(x), σ_j(x)²)

    Look at: latent/active_units, and the KL of each unit.
    """

    by_unit: ClassVar = True

    def adapt(self, dim: int) -> None:
        """A mean and a log-variance for each unit."""
        self.params = 2 * dim

    def forward(self, h: Tensor) -> tuple[Normal, Tensor]:
        """From mean and log-variance side by side, h (B, 2 dim)."""
        normal = read_normal(h)
        return normal, normal.mean


@final
class IAF(Family):
    """Inverse autoregressive flow: a draw of the Gaussian goes through `layers` gated autoregressive maps, which know
    the row by as many more numbers of the encoder as the code has units (Kingma et al. 2016).

    A draw and its density are one pass. The density of any other code goes back unit by unit, so that
    `latent/prior=vamp` and `objective.gradient=doubly_reparameterized` are slow. Its KL is that of the draw.

    Formula: z_0 = μ + σ ε; z_t = g_t z_{t-1} + (1 - g_t) m_t, (m_t, g_t) of the units before and h(x);
    log q(z|x) = log N(z_0; μ, σ²) - Σ_t Σ_j log g_tj

    Look at: generation/nll beside that of latent/posterior=diagonal; latent/kl, which may be larger for a better bound.
    """

    def __init__(self, layers: Depth = 2, hidden: Count = 64):
        super().__init__()
        self.layers = layers
        self.hidden = hidden

    def adapt(self, dim: int) -> None:
        """Mean, log-variance and one number of side information for each unit."""
        self.params = 3 * dim
        self.flow = make_chain("autoregressive", dim, self.layers, self.hidden, context=dim)

    def forward(self, h: Tensor) -> tuple[Flowed, Tensor]:
        """From h (B, 3 dim); the middle is what the Gaussian's mean becomes."""
        width = h.shape[-1] // 3
        return _bend(read_normal(h[..., : 2 * width]), self.flow, h[..., 2 * width :])


@final
class Planar(Family):
    """Planar flow: `layers` maps that each bend the Gaussian along one direction, which the encoder gives for each row
    (Rezende and Mohamed 2015; amortised as in van den Berg et al. 2018).

    The density of a code that it did not draw is found by bisection. The KL is that of the draw.

    Formula: z_t = z_{t-1} + u tanh(w·z_{t-1} + b); log q falls by log |1 + u·w (1 - tanh²)| at each

    Look at: generation/nll beside that of latent/posterior=diagonal, and of iaf: many of these make one of those.
    """

    def __init__(self, layers: Depth = 4):
        super().__init__()
        self.layers = layers

    def adapt(self, dim: int) -> None:
        """Mean and log-variance of each unit; of each layer two directions and an offset."""
        self.flow = PlanarMap(dim, self.layers)
        self.params = 2 * dim + self.flow.width

    def forward(self, h: Tensor) -> tuple[Flowed, Tensor]:
        """From h (B, 2 dim + layers (2 dim + 1)); the middle is what the Gaussian's mean becomes."""
        width = 2 * self.flow.dim
        return _bend(read_normal(h[..., :width]), self.flow, h[..., width:])


def _bend(normal: Normal, flow: Transform, context: Tensor) -> tuple[Flowed, Tensor]:
    return Flowed(normal, flow, context).remember(), flow(normal.mean, context)[0]
