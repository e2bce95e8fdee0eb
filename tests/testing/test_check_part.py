"""What a student is told of his part, and that what is in order passes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from own_parts import HOYER, write_penalty
from representatives import few

from aeexp import latents, noises, regularizers
from aeexp.cli.new import list_groups, write_part
from aeexp.errors import UsageError
from aeexp.testing import check_part, learners
from aeexp.testing.toy import make_pictures


@pytest.fixture(autouse=True)
def path_as_it_was(monkeypatch):
    """check_part lets Python find what lies beside conf/."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.parametrize("group", few(list_groups(), "dataset", "latent", "metric", "trainer"))
def test_what_aeexp_new_writes_is_a_part_of_its_group(group, tmp_path):
    name = f"new_{group}_{tmp_path.name.rpartition('-')[2].strip('0_')}".lower()
    paths = write_part(group, name, tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        f"{name}.py", f"conf/{group}/{name}.yaml", f"test_{name}.py"
    ]  # fmt: skip
    check_part(paths[1], group)
    compile(paths[2].read_text(), paths[2], "exec")


def test_there_is_a_template_for_every_group_of_parts():
    groups = "noise condition model latent likelihood regularizer objective task dataset metric plot trainer optimizer"
    assert set(list_groups()) == {*groups.split(), "scheduler"}


@pytest.mark.parametrize(
    ("part", "group", "keys"),
    [(noises.Gaussian, "noise", {"std": 0.1}), (latents.Sigmoid, "latent", {"dim": 4}),
     (regularizers.L1, "regularizer", {"weight": 0.1})],
)  # fmt: skip
def test_a_class_of_aeexp_passes(part, group, keys):
    check_part(part, group, keys)


FAULTS = {
    "z.abs()": "`forward` returned (B, D); a penalty is (B,) or ()",
    "None": "`forward` returned nothing: is there a return?",
    "(z - z).square().sum(1).sqrt()": "is not finite: is it that of sqrt or log at 0?",
    "z.square().sum(1) * (1.0 if float(z.detach().sum()) > 0 else 2.0)": "no .item(), no if over values",
    "z.square().sum(1) * self.__dict__.setdefault('own', float(torch.rand(())))": "is a parameter or a buffer",
    "z.square().sum(1) * self.weight.add_(1)": "`forward` changes objective.regularizers.hoyer.weight",
}


@pytest.mark.parametrize(("body", "message"), FAULTS.items(), ids=FAULTS)
def test_a_student_is_told_what_is_wrong_and_what_to_do(body, message, tmp_path):
    number = list(FAULTS).index(body)
    option = write_penalty(tmp_path, f"faulty_{number}", body) / "regularizer/hoyer.yaml"
    source = tmp_path / f"faulty_{number}.py"
    source.write_text(f"import torch\n{source.read_text()}")
    with pytest.raises((AssertionError, UsageError), match=".*") as error:
        check_part(option, "regularizer")
    assert message in str(error.value)


def test_what_is_no_part_is_told_before_anything_is_built(tmp_path):
    with pytest.raises(AssertionError, match="it is no Regularizer: write class Linear"):
        check_part(torch.nn.Linear, "regularizer")
    with pytest.raises(UsageError, match="a YAML lies in conf/regularizer/"):
        check_part(tmp_path / "hoyer.yaml", "regularizer")
    option = write_penalty(tmp_path, "whole", HOYER) / "regularizer/hoyer.yaml"
    with pytest.raises(UsageError, match=r"regularizer\.hoyer\.wieght"):
        check_part(option, "regularizer", {"wieght": 1})


def test_a_purity_check_sees_what_is_kept_beside_the_buffers():
    """A law of the check itself: two learners whose forward differs by a plain attribute are told apart."""

    class Off(torch.nn.Module):
        def __init__(self, seed):
            super().__init__()
            self.seed, self.weight = seed, torch.nn.Parameter(torch.ones(()))

        def before_step(self, split, step):
            pass

        def forward(self, batch):
            return {"loss": self.weight * batch.x.flatten(1).sum(1) * (self.seed + 1)}, None

    with pytest.raises(AssertionError, match="kept outside"):
        learners.check_purity(Off, make_pictures())  # type: ignore[arg-type]


def test_the_tests_that_it_writes_find_their_yaml(tmp_path):
    write_part("noise", "somewhat", tmp_path)
    text = (tmp_path / "test_somewhat.py").read_text()
    assert "conf/noise/somewhat.yaml" in text and Path(tmp_path / "conf/noise/somewhat.yaml").is_file()
