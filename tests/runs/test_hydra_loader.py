"""Compositions by the kept files and merges are those of Hydra itself, whatever came before."""

from __future__ import annotations

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra._internal import hydra as hydra_main
from hydra._internal.config_repository import ConfigRepository
from hydra.errors import HydraException
from omegaconf import OmegaConf, open_dict

from aeexp.errors import UsageError
from aeexp.reference.folders import find_conf_dir
from aeexp.runs.composing import compose_run
from aeexp.runs.hydra_loader import Loader, compose_once

LINES = (
    ["dataset=digits"],
    ["dataset=digits", "seed=3"],
    ["variant=vae", "latent.dim=3", "regularizer=[kl,l1]"],
    ["variant=denoising", "noise=[masking,gaussian]", "noise.gaussian.std=0.3"],
    ["++trainer.more=1", "~metric"],
    ["dataset=digits", "hydra/launcher=stacked", "hydra.job.name=other"],
    ["dataset=digits"],
)
WRONG = (
    ["variant=nosuch"],
    ["latent.nosuch=1"],
    ["~nosuch"],
    ["seed=1,2"],
    ["+dataset=digits"],
    ["seed=[1"],
    ["experiment=null"],
)


def describe(words, resolve=False):
    """What a line composes to, with Hydra's node and flags that decide what may be added; or how it is refused."""
    try:
        with initialize_config_dir(find_conf_dir(), version_base="1.3"):
            cfg = compose("config", words, return_hydra_config=True)
    except (HydraException, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return (
        OmegaConf.to_yaml(cfg),
        OmegaConf.is_struct(cfg),
        OmegaConf.is_struct(cfg.hydra),
        str(cfg.hydra.runtime.choices),
    )


def test_lines_compose_as_by_hydra_one_after_another():
    plain = [describe(words) for words in (*LINES, *WRONG)]
    with compose_once():
        assert [describe(words) for words in (*LINES, *WRONG, *LINES)] == [*plain, *plain[: len(LINES)]]


def test_a_file_is_read_once_and_a_list_merged_once(monkeypatch):
    read = []
    load = ConfigRepository.load_config
    monkeypatch.setattr(
        ConfigRepository, "load_config", lambda self, config_path: read.append(config_path) or load(self, config_path)
    )
    with compose_once():
        compose_run(["dataset=digits", "seed=1"])
        assert "dataset/digits" in read and len(read) == len(set(read)) > 30
        read.clear()
        compose_run(["dataset=digits", "seed=2"])
        assert read == []
        compose_run(["dataset=digits", "noise=gaussian"])
        assert read == ["noise/gaussian"]


def test_what_is_done_to_one_composition_is_not_in_the_next():
    with compose_once():
        first = compose_run(["dataset=digits"]).cfg
        with open_dict(first):
            first.trainer.epochs = 77
            del first["noise"]
            first.optimizer.more = {"a": 1}
        again = compose_run(["dataset=digits"]).cfg
    assert again.trainer.epochs != 77 and "noise" in again and "more" not in again.optimizer


def test_a_changed_file_counts_for_the_next_command(tmp_path):
    folder = tmp_path / "optimizer"
    folder.mkdir()
    words = [f"hydra.searchpath=[file://{tmp_path}]", "optimizer=mine"]
    (folder / "mine.yaml").write_text("_target_: torch.optim.SGD\nlr: 1\n")
    with compose_once():
        assert compose_run(words).cfg.optimizer.lr == 1
        with pytest.raises(UsageError):
            compose_run(["optimizer=mine"])  # another search path
        (folder / "mine.yaml").write_text("_target_: torch.optim.SGD\nlr: 2\n")
        assert compose_run(words).cfg.optimizer.lr == 1
    assert compose_run(words).cfg.optimizer.lr == 2


def test_hydra_and_yaml_are_as_before():
    before = yaml.SafeLoader, hydra_main.ConfigLoaderImpl
    with pytest.raises(KeyError), compose_once():
        with compose_once():
            loader = hydra_main.ConfigLoaderImpl
        assert loader is hydra_main.ConfigLoaderImpl and loader is not before[1]
        raise KeyError
    assert (yaml.SafeLoader, hydra_main.ConfigLoaderImpl) == before and issubclass(Loader, before[1])
