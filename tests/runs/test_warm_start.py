"""A run that starts from another one: what is taken over, what stays, what it is called, and what does not fit."""

from __future__ import annotations

import functools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from composing import composed, run_in
from torch import nn

from aeexp.errors import UsageError
from aeexp.latents.deterministic import Deterministic
from aeexp.latents.gaussian import Gaussian
from aeexp.latents.levels import FSQ, LFQ
from aeexp.latents.priors import Vamp
from aeexp.latents.quantised import VQ
from aeexp.likelihoods.counts import Poisson
from aeexp.regularizers import KLSparsity
from aeexp.runs.claim import identify
from aeexp.runs.folder import RunFolder, run_id
from aeexp.runs.loading import LoadedRun, load
from aeexp.runs.origin import list_differences
from aeexp.runs.warm_start import find_misfit
from aeexp.trainers.archive import read_archive, write_archive
from aeexp.trainers.checkpoint import load as load_checkpoint

SHORT = ("dataset.limit=200", "metric=none", "model.hidden_dims=[8]", "latent.dim=4")
STEPS = (*SHORT, "trainer.steps=6")


def weights(folder: Path, name: str = "best") -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "checkpoints" / f"{name}.pt")["learner"]


def split(one, other, part: str) -> tuple[list[bool], list[bool]]:
    """Which tensors of a part are equal, bit for bit, and which of all others."""
    same = {key: torch.equal(one[key], other[key]) for key in one if key in other and one[key].dim() > 0}
    inside = [value for key, value in same.items() if key.startswith(part)]
    return inside, [
        value for key, value in same.items() if not key.startswith(part) and key.endswith(("weight", "bias"))
    ]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A trained run of other data: half of the classes, and another seed."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("source") / "run"
    run_in(folder, *SHORT, "trainer.steps=20", "dataset.classes=[0,1,2,3,4]", "seed=5")
    return folder


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lbfgs"])
def test_a_frozen_encoder_has_the_same_bits_after_training_and_the_decoder_has_not(optimizer, source, tmp_path):
    """Weight decay moves what has no gradient, if it is in the optimizer."""
    decay = {"adamw": ["optimizer.weight_decay=0.5"], "sgd": ["optimizer.momentum=0.9", "optimizer.weight_decay=0.5"]}
    words = [f"optimizer={optimizer}", *decay.get(optimizer, [])]
    start = [f"init.from={source}", "init.parts=[encoder]", "init.freeze=true", "regularizer=classifier"]
    run_in(tmp_path / "run", *STEPS, *words, *start)
    for name in ("best", "last"):
        inside, outside = split(weights(source), weights(tmp_path / "run", name), "model.encoder.")
        assert len(inside) == 4 and all(inside) and not any(outside)


def test_without_freezing_every_weight_moves_from_where_it_was(source, tmp_path):
    run_in(tmp_path / "far", *SHORT, "trainer.steps=1", "optimizer.lr=1e-8", f"init.from={source}")
    one, other = weights(source), weights(tmp_path / "far", "last")
    for key in (key for key in one if key.startswith(("model.encoder.", "model.decoder."))):
        # Adam's first step is the rate in each number; float32 leaves 6e-8 of numbers below 1
        assert torch.allclose(one[key], other[key], atol=2e-7, rtol=0), key
    run_in(tmp_path / "warm", *STEPS, f"init.from={source}")
    inside, outside = split(one, weights(tmp_path / "warm"), "model.")
    assert not any(inside) and outside == []


def test_the_untrained_network_that_probes_read_is_drawn_and_not_taken_over(source, tmp_path):
    words = (*SHORT[:1], *SHORT[2:], "trainer.steps=6", "metric=probe")
    run_in(tmp_path / "anew", *words)
    run_in(tmp_path / "warm", *words, f"init.from={source}", "init.parts=[encoder]", "init.freeze=true")
    rows = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("anew", "warm")]
    assert rows[0]["baseline"]["random"] == rows[1]["baseline"]["random"]
    assert "init" not in rows[0] and rows[1]["init"]["from"] == str(source) and rows[1]["init"]["freeze"]


def test_numbers_of_the_configuration_stay_those_that_were_asked_for(tmp_path):
    """k is a buffer: taken over, latent.k=1 would do nothing."""
    words = ("latent=topk", "latent.dim=6", "trainer.steps=2", "dataset.limit=200", "metric=none")
    run_in(tmp_path / "two", *words, "latent.k=2")
    run_in(tmp_path / "one", *words, "latent.k=1", f"init.from={tmp_path / 'two'}")
    assert load(tmp_path / "one").latent.k == 1 and load(tmp_path / "two").latent.k == 2
    with pytest.raises(UsageError, match=r"init\.freeze=true: the latent .*latent\.k=2 there, 1 here.*init\.parts"):
        run_in(
            tmp_path / "no", *words, "latent.k=1", f"init.from={tmp_path / 'two'}", "init.parts=[latent,encoder]",
            "init.freeze=true",
        )  # fmt: skip


def test_a_latent_s_own_state_is_taken_over_and_stays_where_it_is_frozen(tmp_path):
    """A codebook is moved by averages beside the gradient."""
    words = ("variant=vq_vae", "dataset.limit=200", "metric=none", "trainer.steps=4")
    run_in(tmp_path / "first", *words)
    parts = ["init.parts=[encoder,latent]", "init.freeze=true", "optimizer.lr=0.01"]
    run_in(tmp_path / "held", *words, "seed=3", f"init.from={tmp_path / 'first'}", *parts)
    inside, _ = split(weights(tmp_path / "first"), weights(tmp_path / "held", "last"), "model.latent.")
    assert len(inside) > 2 and all(inside)
    run_in(tmp_path / "free", *words, "seed=3", f"init.from={tmp_path / 'first'}", "init.parts=[encoder,latent]")
    inside, _ = split(weights(tmp_path / "first"), weights(tmp_path / "free", "last"), "model.latent.")
    assert not all(inside)


def adapted(prior: Vamp) -> Vamp:
    prior.adapt(4, (6,))
    return prior


BEGINNING = {
    "vq": lambda build: build((6,), latent=VQ(4, codes=8, width=2)),
    "fsq": lambda build: build((6,), latent=FSQ(4, [5, 5])),
    "lfq": lambda build: build((6,), latent=LFQ(4, width=2)),
    "vamp": lambda build: build((6,), latent=Gaussian(4, adapted(Vamp(5)))),
    "poisson": lambda build: build((6,), latent=Deterministic(4), likelihood=Poisson(size="total")),
}


@pytest.mark.parametrize("kind", BEGINNING)
def test_a_part_with_the_weights_of_another_run_does_not_begin_anew(kind, build_learner, as_data):
    learner = BEGINNING[kind](build_learner)
    first, second = (as_data(torch.rand(40, 6, generator=torch.Generator().manual_seed(i)).numpy()) for i in range(2))
    states = [{key: value.clone() for key, value in learner.state_dict().items()}]
    for data in (first, second):
        learner.before_step(data["train"], 0)
        states.append({key: value.clone() for key, value in learner.state_dict().items()})
        learner.keep([learner.model.latent, learner.model.likelihood])
    assert any(not torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert all(torch.equal(states[1][key], states[2][key]) for key in states[0])


def test_what_is_frozen_stays_in_evaluation_mode_without_hooks(build_learner, digit_data):
    """A norm over the batch has averages, dropout draws, a penalty may keep an average of the codes."""
    penalty = KLSparsity(0.5, 0.2, "ema")
    learner = build_learner((1, 8, 8), 3, hidden_dims=[4], regularizers={"kl": penalty})
    norm = nn.BatchNorm1d(3)
    learner.model.encoder.add_module("norm", norm)
    learner.model.encoder.register_forward_hook(
        lambda module, given, result: nn.functional.dropout(norm(result), 0.5, norm.training)
    )
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    learner.train()
    batch = next(digit_data["train"].batches(16))
    learner(batch)
    assert not torch.equal(norm.running_mean, before["running_mean"]), "as it is, it moves"
    norm.load_state_dict(before)
    learner.freeze([learner.model.encoder, learner.objective])
    learner.train()
    terms, out = learner(batch)
    learner.observe(out)
    learner.before_step(digit_data["train"], 1)
    again, _ = learner(batch)
    assert all(torch.equal(norm.state_dict()[key], before[key]) for key in before)
    assert all(torch.equal(terms[key], again[key]) for key in terms) and penalty.seen == 0
    assert learner.model.decoder.training and not learner.model.encoder.training and not norm.training


@pytest.mark.parametrize("words", [["init.parts=[encoder]", "init.freeze=true"], []], ids=["frozen", "warm"])
def test_a_run_that_started_from_another_one_resumes_with_the_same_bits(words, source, tmp_path, monkeypatch):
    from aeexp.trainers import joint

    words = [*STEPS, *words, f"init.from={source}", "noise=masking"]
    run_in(tmp_path / "whole", *words)
    step, seen = joint.take_step, []

    def dies(*arguments):
        seen.append(1)
        if len(seen) == 4:
            raise MemoryError("killed")
        return step(*arguments)

    monkeypatch.setattr("aeexp.trainers.checkpoint.Store.save.__kwdefaults__", {"now": True})
    monkeypatch.setattr(joint, "take_step", dies)
    with pytest.raises(MemoryError):
        run_in(tmp_path / "cut", *words)
    monkeypatch.setattr(joint, "take_step", step)
    run_in(tmp_path / "cut", *words, f"resume={tmp_path / 'cut'}")
    one, other = (weights(tmp_path / name) for name in ("whole", "cut"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert (tmp_path / "whole/history.csv").read_text() == (tmp_path / "cut/history.csv").read_text()


def test_a_run_is_called_by_the_weights_that_it_started_from_and_not_by_their_place(source, tmp_path):
    moved = shutil.copytree(source, tmp_path / "moved")

    def name(*words) -> str:
        return identify(composed(*STEPS, *words))

    first = name(f"init.from={source}")
    assert first == name(f"init.from={moved}") != name()
    assert (
        len(
            {
                first,
                name(f"init.from={source}", "init.parts=[encoder]"),
                name(f"init.from={source}", "init.freeze=true"),
            }
        )
        == 3
    )
    shutil.rmtree(moved)
    run_in(moved, *SHORT, "trainer.steps=3", "seed=6", "dataset.classes=[0,1,2,3,4]")
    assert name(f"init.from={moved}") != first, "other weights in the same place"
    assert name("init.from=null", "init.parts=null") == name()
    assert run_id({"a": 1, "init": {"from": None}, "resume": "x"}) == run_id({"a": 1}), "as runs of before are called"


def test_what_was_started_from_is_not_needed_to_load(source, tmp_path):
    moved = shutil.copytree(source, tmp_path / "moved")
    run_in(tmp_path / "run", *STEPS, f"init.from={moved}")
    shutil.rmtree(moved)
    assert LoadedRun(tmp_path / "run").load_data().name == "digits" and load(tmp_path / "run").latent.dim == 4


def test_nothing_of_what_was_started_from_is_built(source, tmp_path):
    """Its configuration is text of a stranger: the keys in which it differs are told, and no more."""
    folder = shutil.copytree(source, tmp_path / "strange")
    with open(folder / "checkpoints/best.pt", "rb") as file:
        saved = read_archive(file)
    saved["config"]["model"] |= {"_target_": "os.makedirs", "name": str(tmp_path / "acted")}
    saved["config"]["latent"] = {"_target_": "builtins.eval", "_args_": ["1/0"], "dim": 4}
    with open(folder / "checkpoints/best.pt", "wb") as file:
        write_archive(saved, file)
    run_in(tmp_path / "run", *STEPS, f"init.from={folder}")
    assert not (tmp_path / "acted").exists() and load(tmp_path / "run").latent.dim == 4
    saved["config"]["model"]["deep"] = functools.reduce(lambda inner, _: {"a": inner}, range(40), {})
    with open(folder / "checkpoints/best.pt", "wb") as file:
        write_archive(saved, file)
    with pytest.raises(UsageError, match=r"^init\.from=.*deeper or larger than any configuration"):
        run_in(tmp_path / "no", *STEPS, f"init.from={folder}")


def test_units_that_differ_and_functions_that_differ_are_told(source, tmp_path, caplog):
    x = np.random.default_rng(0).integers(0, 2, (60, 1, 8, 8)).astype(np.float32) * 255
    np.savez(tmp_path / "x.npz", x=x)
    words = ("dataset=npz", f"dataset.path={tmp_path / 'x.npz'}", "model.activation=tanh", *STEPS[1:])
    run_in(tmp_path / "run", *words, f"init.from={source}")
    assert re.search(r"values run from 0 to 255, those of init\.from=.* from 0 to 1: are the units", caplog.text)
    assert re.search(r"the encoder gets weights of another one: model\.activation=\w+ there, tanh here", caplog.text)


MLP = STEPS[2:]
BAD = {  # words beside those of the data and init.from -> message
    "width": ([*MLP, "latent.dim=3"], r"^init\.from=.*its encoder is another one: layers\.1\.weight is \(4, 8\) there, "
              r"\(3, 8\) here \(latent\.dim=4 there, 3 here\)\nrepeat its model"),
    "kind": (["model=conv", "latent.dim=4"], r"its encoder is another one: .*model\._target_=aeexp\.models\.mlp there"),
    "all": ([*MLP, "init.freeze=true"], r"^init\.freeze=true: nothing is left to train beside encoder"),
    "pca": (["variant=pca"], r"^init\.from=.*: this trainer starts from no weights"),
    "layers": (["variant=stacked", "init.freeze=true"], r"^init\.freeze=true: this trainer moves every layer"),
    "part": ([*MLP, "init.parts=[encodr]"], r"^init\.parts=\['encodr'\] should be a list of names out of encoder"),
    "type": ([*MLP, "init.freeze=yes please"], r"^init\.freeze='yes please' should be true or false"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_told_before_training(case, source, tmp_path):
    words, message = BAD[case]
    with pytest.raises(UsageError) as error:
        run_in(tmp_path / "run", *SHORT[:2], *words, f"init.from={source}")
    assert re.search(message, str(error.value)), error.value
    assert str(error.value).count("\n") <= 1 and not RunFolder(tmp_path / "run").is_begun()


def test_rows_of_another_shape_are_told_with_both(source, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((60, 1, 4, 4), np.float32))
    words = ("dataset=npz", f"dataset.path={tmp_path / 'x.npz'}", *STEPS[1:], f"init.from={source}")
    with pytest.raises(UsageError, match=r"rows are \(1, 8, 8\) there, \(1, 4, 4\) here"):
        run_in(tmp_path / "run", *words)


@pytest.mark.parametrize("word", ["init.parts=[encoder]", "init.freeze=true"])
def test_parts_of_nothing_are_refused(word, tmp_path):
    with pytest.raises(
        UsageError, match=r"^init\.\w+=.*: there is nothing to start from: name a run by init\.from=RUN$"
    ):
        run_in(tmp_path, *STEPS, word)
    with pytest.raises(UsageError, match=r"^init\.from=/no/where: .*there is no such checkpoint.*name the folder"):
        run_in(tmp_path, *STEPS, "init.from=/no/where")


# ---------------------------------------------------------------- a run made longer


def test_more_epochs_extend_a_run_and_its_folder_holds_all_of_it(tmp_path):
    keys = (*SHORT, "metric=reconstruction")
    for folder, epochs in (("short", 2), ("whole", 4)):
        run_in(tmp_path / folder, *keys, f"trainer.epochs={epochs}")
    run_in(tmp_path / "on", *keys, "trainer.epochs=4", f"resume={tmp_path / 'short'}")
    one, other = (weights(tmp_path / name) for name in ("whole", "on"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert (tmp_path / "whole/history.csv").read_text() == (tmp_path / "on/history.csv").read_text()
    numbers = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "on", "short")]
    assert numbers[0]["test"] == numbers[1]["test"] != numbers[2]["test"]
    assert numbers[1]["extends"]["step"] == numbers[2]["best_step"] and "extends" not in numbers[0]
    status = [json.loads((tmp_path / name / "status.json").read_text())["run_id"] for name in ("whole", "on")]
    assert status[0] != status[1], "of another schedule it would have other numbers"
    # who goes on from the longer run goes on with it
    run_in(tmp_path / "again", *keys, "trainer.epochs=4", f"resume={tmp_path / 'on'}")
    assert json.loads((tmp_path / "again/status.json").read_text())["run_id"] == status[1]


def test_where_more_than_the_length_differs_the_keys_are_named(tmp_path):
    run_in(tmp_path / "run", *STEPS)
    before = (tmp_path / "run/checkpoints/last.pt").read_bytes()
    words = [*SHORT[:2], "model.hidden_dims=[8]", "latent.dim=3", "trainer.steps=9", "noise=masking", "seed=2"]
    with pytest.raises(UsageError) as error:
        run_in(tmp_path / "on", *words, f"resume={tmp_path / 'run'}")
    text = str(error.value)
    assert text.startswith(f"resume={tmp_path / 'run'}: that run has another configuration: ")
    assert "latent.dim=4 there, 3 here" in text and "seed=0 there, 2 here" in text and "noise.masking" in text
    assert "trainer.steps" not in text and text.count("\n") == 1 and "init.from=" in text
    assert (tmp_path / "run/checkpoints/last.pt").read_bytes() == before


def test_differences_of_configurations_are_had_by_their_paths():
    there, here = {"a": {"b": 1, "c": [1]}, "resume": "x"}, {"a": {"b": 1.0, "c": [2]}, "d": {}, "init": {"from": None}}
    assert list(list_differences(there, here)) == [("a.c", "a.c=[1] there, [2] here"), ("d", "d=absent there, {} here")]


def test_a_misfit_is_named_from_either_side():
    module = nn.Linear(2, 3)
    own = module.state_dict()
    assert find_misfit(module, own) == ""
    assert find_misfit(module, {"weight": own["weight"]}) == "bias is not there"
    assert find_misfit(module, {**own, "more": own["bias"]}) == "more is there alone"
    assert find_misfit(module, {**own, "bias": own["bias"].double()}) == "bias is (3,) of float64 there, (3,) here"


@pytest.mark.parametrize("latent", ["binary", "categorical", "gaussian"])
def test_a_frozen_latent_still_draws_and_lets_the_gradient_through(latent, tmp_path):
    words = (f"latent={latent}", "dataset.limit=200", "metric=none", "trainer.steps=4", "model.hidden_dims=[20]")
    run_in(tmp_path / "from", *words)
    start = (f"init.from={tmp_path / 'from'}", "init.parts=[latent,decoder]", "init.freeze=true")
    run_in(tmp_path / "run", *words, *start)
    inside, outside = split(weights(tmp_path / "from"), weights(tmp_path / "run", "last"), "model.encoder.")
    assert not any(inside) and all(outside)


def test_what_is_frozen_is_in_evaluation_mode_but_for_what_draws(source):
    """A latent and an objective know by the mode whether they draw; through a recurrent layer cuDNN wants training."""
    learner = LoadedRun(source, "cpu").learner
    learner.model.decoder.add_module("recurrent", nn.GRU(2, 2))
    learner.freeze([learner.model.encoder, learner.model.latent, learner.model.decoder, learner.objective])
    learner.train()
    assert learner.model.latent.training and learner.objective.training and learner.model.decoder.recurrent.training
    assert not learner.model.encoder.training and not learner.model.decoder.training
    assert not any(module.training for module in learner.eval().modules())
