"""What each exercise is graded by. A tolerance stands beside its reason."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor

from aeexp.exercises.grading import Exercise, Law


def _show(value: Tensor | float) -> str:
    return f"{float(value):.4g}"


def _differs(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    return found.shape != wanted.shape or not bool((found - wanted).abs().max() <= tolerance)


def _shape(found: object, wanted: tuple[int, ...], what: str) -> str | None:
    if not isinstance(found, Tensor):
        return f"{what} should be a tensor, and is a {type(found).__name__}: has the function a return?"
    if tuple(found.shape) != wanted:
        return f"{what} should have shape {wanted}, and has {tuple(found.shape)}"
    return None


# The KL term of a VAE


def kl_is_one_number_a_row(module: ModuleType) -> str | None:
    found = module.kl(torch.randn(7, 3), torch.randn(7, 3))
    hint = ": sum over the units of a row, and take no mean over rows"
    wrong = _shape(found, (7,), "kl of 7 rows of 3 units")
    return wrong and wrong + hint


def kl_of_the_prior_is_zero(module: ModuleType) -> str | None:
    found = module.kl(torch.zeros(4, 5), torch.zeros(4, 5))
    if _differs(found, torch.zeros(4), 1e-6):  # exact but for rounding
        return f"N(0, I) against itself should be 0, and is {_show(found[0])}: is the 1 of each unit subtracted?"
    return None


def kl_of_a_moved_mean(module: ModuleType) -> str | None:
    mean = torch.tensor([[1.0, -2.0, 0.5]])
    found, wanted = module.kl(mean, torch.zeros(1, 3)), mean.square().sum(1) / 2
    if _differs(found, wanted, 1e-5):
        return (
            f"N(m, I) against N(0, I) is |m|² / 2: of m = (1, -2, 0.5) {_show(wanted[0])}, and yours is "
            f"{_show(found[0])}: is the factor 1/2 there, and is it a sum over units, no mean?"
        )
    return None


def kl_is_what_draws_say(module: ModuleType) -> str | None:
    mean, log_variance = torch.tensor([[0.7, -0.3]]), torch.tensor([[-1.0, 0.8]])
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    z = posterior.sample((200_000,))
    values = (posterior.log_prob(z) - torch.distributions.Normal(0.0, 1.0).log_prob(z)).sum(-1)
    found, mean_of_draws = module.kl(mean, log_variance), values.mean()
    bound = 5 * float(values.std()) / math.sqrt(len(values))  # five standard errors of the mean
    if _differs(found, mean_of_draws[None], bound):
        return (
            f"the mean of log q(z) − log p(z) over 200,000 draws is {_show(mean_of_draws)}, and yours is "
            f"{_show(found[0])}: the second argument is the logarithm of the variance, not of the deviation"
        )
    return None


# A penalty that makes codes sparse


def penalty_is_l1(module: ModuleType) -> str | None:
    z = torch.tensor([[1.0, -2.0, 0.0], [0.0, 0.0, 0.5]])
    found = module.penalty(z)
    wrong = _shape(found, (2,), "the penalty of 2 rows")
    if wrong is None and _differs(found, torch.tensor([3.0, 0.5]), 1e-6):
        return f"|1| + |−2| + |0| is 3, and yours is {_show(found[0])}: sizes, summed over the units of a row"
    return wrong


def shrinking_gives_zeros(module: ModuleType) -> str | None:
    a = torch.tensor([[0.3, -0.2, 0.0, 0.49, 2.0]])
    found = module.shrink(a, 0.5)
    if tuple(found.shape) != tuple(a.shape):
        return f"shrink should keep the shape {tuple(a.shape)}, and gives {tuple(found.shape)}"
    if bool((found[0, :4] != 0).any()):
        return (
            f"what is smaller than the weight 0.5 becomes exactly 0, and yours are {found[0, :4].tolist()}: a step "
            "along the gradient alone never gives zeros"
        )
    return None


def shrinking_moves_the_others_by_the_weight(module: ModuleType) -> str | None:
    a = torch.tensor([[2.0, -2.0, 0.7]])
    found = module.shrink(a, 0.5)
    if _differs(found, torch.tensor([[1.5, -1.5, 0.2]]), 1e-6):
        return f"2, −2 and 0.7 by a weight of 0.5 are 1.5, −1.5 and 0.2, and yours are {found[0].tolist()}"
    return None


def shrinking_solves_its_problem(module: ModuleType) -> str | None:
    a, weight = torch.linspace(-2, 2, 41)[None].double(), 0.3
    grid = torch.linspace(-3, 3, 60_001).double()[:, None]
    best = grid[(0.5 * (grid - a) ** 2 + weight * grid.abs()).argmin(0), 0][None]
    found = module.shrink(a, weight)
    if _differs(found, best, 1.01e-4):  # the grid's step
        place = int((found - best).abs().argmax())
        return (
            f"shrink(a, w) is the z of least (z − a)² / 2 + w |z|: of a = {_show(a[0, place])} and w = {weight} it is "
            f"{_show(best[0, place])}, and yours is {_show(found[0, place])}"
        )
    return None


# A noise that hides values


def mask_hides_its_share(module: ModuleType) -> str | None:
    x, p = torch.ones(400, 100), 0.3
    share = float((module.mask(x, p) == 0).float().mean())
    bound = 5 * math.sqrt(p * (1 - p) / x.numel())  # five standard deviations of a share of so many draws
    if abs(share - p) > bound:
        hint = ": p is the share that is hidden, not the one that is kept" if abs(share - 1 + p) < bound else ""
        return f"of 40,000 values with p = 0.3 a share of {share:.3f} is 0, where 0.3 ± {bound:.3f} is law{hint}"
    return None


def mask_keeps_the_rest(module: ModuleType) -> str | None:
    x = torch.rand(50, 20) + 1
    found = module.mask(x.clone(), 0.4)
    kept = found != 0
    if bool((found[kept] != x[kept]).any()):
        return "what is not hidden stays as it is: it is not divided by 1 − p, as dropout does, and no noise is added"
    return None


def mask_leaves_its_input(module: ModuleType) -> str | None:
    x = torch.ones(20, 20)
    module.mask(x, 0.5)
    if bool((x != 1).any()):
        return "the input itself was changed: its owner still needs the clean rows, so work on a copy"
    return None


def mask_draws_each_value_anew(module: ModuleType) -> str | None:
    x = torch.ones(2000, 2)
    first, second = module.mask(x, 0.5), module.mask(x, 0.5)
    if bool((first == second).all()):
        return "two calls hide the same values: each call draws anew"
    both = float(((first == 0).all(1)).float().mean())
    bound = 5 * math.sqrt(0.25 * 0.75 / 2000)
    if abs(both - 0.25) > bound:
        return (
            f"both of two values are hidden in a share of {both:.2f} of rows, where 0.25 is that of independent draws"
        )
    return None


# A sampler of codes


def _codes() -> Tensor:
    mixing = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.3, 0.0], [0.0, 0.5, 2.0]])
    return torch.randn(5000, 3) @ mixing.T + torch.tensor([1.0, -2.0, 5.0])


def sampler_gives_so_many(module: ModuleType) -> str | None:
    return _shape(module.draw(module.fit(_codes()), 11), (11, 3), "11 draws of codes of 3 units")


def sampler_has_the_mean(module: ModuleType) -> str | None:
    codes = _codes()
    found, wanted = module.draw(module.fit(codes), 20_000).mean(0), codes.mean(0)
    bound = 5 * codes.std(0) / math.sqrt(20_000)  # five standard errors
    if bool(((found - wanted).abs() > bound).any()):
        return f"draws have the mean {_round(found)}, codes {_round(wanted)}"
    return None


def sampler_has_the_covariance(module: ModuleType) -> str | None:
    codes = _codes()
    found, wanted = module.draw(module.fit(codes), 20_000).T.cov(), codes.T.cov()
    scale = codes.std(0)[:, None] * codes.std(0)
    if bool(((found - wanted).abs() / scale).max() > 5 * math.sqrt(2 / 20_000)):  # five of a variance's errors
        apart = bool(found[0, 1].abs() < 0.1)
        hint = ": units of the codes go together, and yours are drawn one by one" if apart else ""
        return f"the covariance of units 1 and 2 is {_show(found[0, 1])}, of the codes {_show(wanted[0, 1])}{hint}"
    return None


def sampler_draws_anew(module: ModuleType) -> str | None:
    state = module.fit(_codes())
    if bool((module.draw(state, 50) == module.draw(state, 50)).all()):
        return "two calls of draw give the same codes: is a seed set inside?"
    return None


def sampler_bears_a_dead_unit(module: ModuleType) -> str | None:
    codes = torch.cat([torch.randn(500, 2), torch.zeros(500, 1)], 1)
    found = module.draw(module.fit(codes), 100)
    if not bool(found.isfinite().all()) or float(found[:, 2].abs().max()) > 0.05:
        return "a unit that is 0 in every row should stay about 0 (0.05 is let pass): a jitter on the diagonal is small"
    return None


def _round(values: Tensor) -> str:
    return str([round(value, 2) for value in values.tolist()])


# A linear autoencoder


def _rows() -> Tensor:
    rows = torch.randn(600, 6) * torch.tensor([3.0, 2.0, 1.2, 0.4, 0.3, 0.2])
    basis, _ = torch.linalg.qr(torch.randn(6, 6))
    return rows @ basis.T


def linear_loss_is_a_mean_of_sums(module: ModuleType) -> str | None:
    x, w, v = torch.randn(8, 6), torch.randn(6, 2), torch.randn(2, 6)
    found, wanted = module.loss(x, w, v), (x @ w @ v - x).square().sum(1).mean()
    if not isinstance(found, Tensor) or found.dim() != 0:
        return "loss should be one number, a tensor without dimensions: sum over features, then mean over rows"
    if abs(float(found - wanted)) > 1e-4 * float(wanted):
        return f"the loss should be {_show(wanted)}, and is {_show(found)}: sum over features, mean over rows"
    return None


def linear_reaches_pcas_error(module: ModuleType) -> str | None:
    x = _rows()
    w, v = module.train(x, 3)
    own = float((x @ w @ v - x).square().sum(1).mean())
    values = torch.linalg.svdvals(x)
    least = float(values[3:].square().sum() / len(x))
    if own > 1.02 * least:  # 2 % above the least that any linear map reaches
        return f"the error is {own:.4g}, that of PCA {least:.4g}: train longer, or with another step"
    return None


def linear_finds_pcas_plane(module: ModuleType) -> str | None:
    x = _rows()
    _, v = module.train(x, 3)
    basis = torch.linalg.svd(x, full_matrices=False).Vh[:3].T
    own, _ = torch.linalg.qr(v.detach().T)
    cosine = float(torch.linalg.svdvals(basis.T @ own).min())
    if cosine < 0.995:  # an angle of 6 degrees, which an error 2 % above the least allows here
        return f"the decoder's plane is {math.degrees(math.acos(min(1.0, cosine))):.0f} degrees off that of PCA"
    return None


EXERCISES = {
    each.name: each
    for each in (
        Exercise("kl", ("kl",), (
            Law("one number a row, summed over units", 1, kl_is_one_number_a_row),
            Law("0 for the prior itself", 2, kl_of_the_prior_is_zero),
            Law("|m|² / 2 for a moved mean", 2, kl_of_a_moved_mean),
            Law("what draws say", 3, kl_is_what_draws_say),
        )),
        Exercise("sparsity", ("penalty", "shrink"), (
            Law("the penalty is the sum of sizes", 1, penalty_is_l1),
            Law("small values become exactly 0", 2, shrinking_gives_zeros),
            Law("large ones move by the weight", 2, shrinking_moves_the_others_by_the_weight),
            Law("it solves its problem", 3, shrinking_solves_its_problem),
        )),
        Exercise("masking", ("mask",), (
            Law("the share that is hidden", 2, mask_hides_its_share),
            Law("the rest stays", 2, mask_keeps_the_rest),
            Law("the input stays", 2, mask_leaves_its_input),
            Law("each value is drawn by itself, at every call", 2, mask_draws_each_value_anew),
        )),
        Exercise("sampler", ("fit", "draw"), (
            Law("so many as were asked for", 1, sampler_gives_so_many),
            Law("the mean of the codes", 2, sampler_has_the_mean),
            Law("their covariance", 3, sampler_has_the_covariance),
            Law("new codes at every call", 1, sampler_draws_anew),
            Law("a unit that never changes", 1, sampler_bears_a_dead_unit),
        )),
        Exercise("linear", ("loss", "train"), (
            Law("the loss is a mean of sums", 2, linear_loss_is_a_mean_of_sums),
            Law("the error of PCA", 3, linear_reaches_pcas_error),
            Law("the plane of PCA", 3, linear_finds_pcas_plane),
        )),
    )
}  # fmt: skip
