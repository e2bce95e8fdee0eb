"""From Hydra's sweeper to the search: the whole configuration is checked before there is a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from aeexp.errors import UsageError
from aeexp.reports.grouping import REPEATS
from aeexp.runs.config import check_node, make, put_in_front
from aeexp.sweeps.search.comparable import check_comparable
from aeexp.sweeps.search.search import Launch, Search
from aeexp.sweeps.search.space import Space, format_overrides, split_space
from aeexp.sweeps.search.storage import find_sweep_folder, open_storage


def run_search(
    config: DictConfig, loader: ConfigLoader, launch: Launch, arguments: Sequence[str]
) -> list[Sequence[JobReturn]]:
    """What the sweeper does. Raises UsageError before any run is begun."""
    hydra_cfg = config.hydra
    node = {str(key): value for key, value in _to_dict(hydra_cfg.sweeper).items() if not str(key).startswith("_")}
    check_node("hydra.sweeper", {"_target_": "aeexp.sweeps.search.search.Search", **node})
    sampler, pruner = (make(hydra_cfg.sweeper, key) for key in ("sampler", "pruner"))
    try:
        search = Search(**{**node, "sampler": sampler, "pruner": pruner})
    except UsageError as error:
        raise put_in_front("hydra.sweeper", error) from error
    root = find_sweep_folder(hydra_cfg)
    root.mkdir(parents=True, exist_ok=True)
    space, fixed = split_space(node["params"], arguments, loader)
    _check_space(space)
    # a key that does not exist is told before there is a study
    corners = [loader.load_sweep_config(config, [*fixed, *overrides]) for overrides in list_corners(space)]
    try:
        check_comparable(search.objectives, corners, space)
    except UsageError as error:
        raise put_in_front("hydra.sweeper", error) from error
    OmegaConf.save(config, root / "multirun.yaml")
    search.begin(open_storage(hydra_cfg), root, space, fixed)
    results = search.run(launch)
    search.conclude()
    return results


def _check_space(space: Space) -> None:
    if not space:
        raise UsageError(
            "hydra/sweeper=aeexp_optuna: nothing to search: give a range, as latent.dim=int(interval(2,64))"
        )
    for key in REPEATS:
        if key in space:
            raise UsageError(
                f"{key}: a search over it finds the luckiest; give one value, and repeat the best trial with -m "
                f"{key}=0,1,2"
            )


def list_corners(space: Space) -> Iterator[list[str]]:
    """One job, and one more for each further choice."""
    choices = {name: _list_choices(distribution) for name, distribution in space.items()}
    first = {name: each[0] for name, each in choices.items()}
    yield format_overrides(first)
    for name, each in choices.items():
        for choice in each[1:]:
            yield format_overrides({**first, name: choice})


def _list_choices(distribution: BaseDistribution) -> Sequence[Any]:
    """All of a list, and of an interval both ends."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return [distribution.low, distribution.high]


def _to_dict(node: DictConfig) -> dict[Any, Any]:
    content = OmegaConf.to_container(node, resolve=True)
    assert isinstance(content, dict)
    return content
