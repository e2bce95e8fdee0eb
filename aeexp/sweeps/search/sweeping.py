"""From Hydra's sweeper to the search: the whole configuration is checked before there is a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hydra.core.utils import JobReturn
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import CategoricalDistribution

from aeexp.errors import UsageError
from aeexp.reports.grouping import REPEATS
from aeexp.runs.config import check_node, make, put_in_front
from aeexp.sweeps.search.search import Launch, Search
from aeexp.sweeps.search.space import overrides, split
from aeexp.sweeps.search.storage import folder, storage


def searched(config: DictConfig, loader, launch: Launch, arguments: Sequence[str]) -> list[Sequence[JobReturn]]:
    """What the sweeper does. Raises UsageError before any run is begun."""
    hydra_cfg = config.hydra
    node = OmegaConf.to_container(hydra_cfg.sweeper, resolve=True)
    node = {key: value for key, value in node.items() if not key.startswith("_")}
    check_node("hydra.sweeper", {"_target_": "aeexp.sweeps.search.search.Search", **node})
    sampler, pruner = (make(hydra_cfg.sweeper, key) for key in ("sampler", "pruner"))
    try:
        search = Search(**{**node, "sampler": sampler, "pruner": pruner})
    except UsageError as error:
        raise put_in_front("hydra.sweeper", error) from error
    root = folder(hydra_cfg)
    root.mkdir(parents=True, exist_ok=True)
    space, fixed = split(node["params"], arguments, loader)
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
    for words in corners(space):
        loader.load_sweep_config(config, [*fixed, *words])  # a key that does not exist is told before there is a study
    OmegaConf.save(config, root / "multirun.yaml")
    search.begin(storage(hydra_cfg), root, space, fixed)
    results = search.run(launch)
    search.conclude()
    return results


def corners(space: dict) -> Iterator[list[str]]:
    """One job, and one more for each further choice."""
    first = {name: d.choices[0] if isinstance(d, CategoricalDistribution) else d.low for name, d in space.items()}
    yield overrides(first)
    for name, distribution in space.items():
        for choice in getattr(distribution, "choices", ())[1:]:
            yield overrides({**first, name: choice})
