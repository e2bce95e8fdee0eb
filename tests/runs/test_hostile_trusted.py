"""Run folders of a stranger that name a package which the reader trusts: of it parts are built, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from canary import watched
from hostile_folders import ALL, check_refused, put, read_with_all, target

import aeexp
from aeexp.errors import UsageError
from aeexp.runs.foreign import NEVER, find_fault, find_package
from aeexp.runs.trust import check_parts, read_trust

MYPKG = '''
import functools
import os
import os.path
import shutil
from os import makedirs
from pathlib import Path

import torch

from aeexp.contracts import Latent, Regularizer
from aeexp.latents import Gaussian
from aeexp.types import Code


class Mine(Latent):
    """A part of the group latent."""

    def __init__(self, dim: int, note: object = None):
        super().__init__(dim)

    def forward(self, h):
        return Code(h, h)

    @classmethod
    def touch(cls, dim: int = 3):
        open("owned", "w").close()

    @staticmethod
    def remove(dim: int = 3):
        shutil.rmtree("run")

    class Inner(Latent):
        def __init__(self, dim: int):
            open("owned", "w").close()

        def forward(self, h):
            return Code(h, h)


class Penalty(Regularizer):
    def __init__(self, weight: float = 0.1):
        super().__init__(weight)
        open("owned", "w").close()

    def forward(self, out, model):
        return out.code.mean.square().sum(1)


class Unwritten(Latent):
    def __init__(self, dim: int):
        open("owned", "w").close()


class Plain:
    def __init__(self, dim: int):
        open("owned", "w").close()


class Module(torch.nn.Module):
    def __init__(self, dim: int):
        open("owned", "w").close()


def wipe(dim: int = 3):
    open("owned", "w").close()


def network(shape, params, dim, context, output=None, told=None, *, width: int = 3):
    open("owned", "w").close()


def schedule(optimizer, steps):
    open("owned", "w").close()


Other = Mine
prepared = functools.partial(os.system, "touch owned")
instance = Mine(3)


def __getattr__(name):
    if name == "lazy":
        return os.system
    raise AttributeError(name)
'''


@pytest.fixture
def mypkg(tmp_path, monkeypatch):
    """A package that the reader trusts, beside one that he does not, of nearly the same name."""
    (tmp_path / "mypkg").mkdir()
    (tmp_path / "mypkg/__init__.py").write_text(MYPKG)
    (tmp_path / "mypkg/__main__.py").write_text("open('imported', 'w').close()\n")
    for name in ("mypkg_", "mypkgs", "m_ypkg"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w').close()\nfrom mypkg import Mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypkg"]:
        del sys.modules[name]


# Put where a latent belongs, with trust=["mypkg"].
THROUGH = {
    "a module's module": target("mypkg.os.makedirs", name="owned"),
    "a module's module's module": target("mypkg.os.path.os.makedirs", name="owned"),
    "a command": target("mypkg.os.system", command="touch owned"),
    "what was imported": target("mypkg.makedirs", name="owned"),
    "a path": target("mypkg.Path.touch", self="owned"),
    "a pickle": target("mypkg.torch.load", f="evil.pt", weights_only=False),
    "a folder removed": target("mypkg.shutil.rmtree", path="run"),
    "a module": target("mypkg.os"),
    "the package": target("mypkg"),
    "a classmethod": target("mypkg.Mine.touch"),
    "a staticmethod": target("mypkg.Mine.remove"),
    "a constructor": target("mypkg.Mine.__init__", dim=3),
    "globals": target("mypkg.Mine.__init__.__globals__.get", key="os"),
    "builtins": target("mypkg.__builtins__.exec", source="open('owned', 'w')"),
    "a class in a class": target("mypkg.Mine.Inner", dim=3),
    "a class by its class": target("mypkg.Mine.__class__", name="x"),
    "another name of a part": target("mypkg.Other", dim=3),
    "an object": target("mypkg.instance", h=1),
    "a prepared call": target("mypkg.prepared"),
    "what a module makes up": target("mypkg.lazy", command="touch owned"),
    "a part of aeexp by that package": target("mypkg.Gaussian", dim=3),
    "aeexp by that package": target("mypkg.aeexp.latents.Gaussian", dim=3),
    "a function": target("mypkg.wipe", dim=3),
    "a network": target("mypkg.network", _partial_=True),
    "a schedule": target("mypkg.schedule", _partial_=True),
    "a part of another group": target("mypkg.Penalty"),
    "a part with a method unwritten": target("mypkg.Unwritten", dim=3),
    "a plain class": target("mypkg.Plain", dim=3),
    "a module of torch": target("mypkg.Module", dim=3),
    "the program of the package": target("mypkg.__main__.main"),
    "the package by its file": target("mypkg.__init__.Mine", dim=3),
    "a module that is not there": target("mypkg.absent.Mine", dim=3),
    "a longer name": target("mypkg_.Mine", dim=3),
    "a name in the plural": target("mypkgs.Mine", dim=3),
    "a name that is nearly it": target("m_ypkg.Mine", dim=3),
    "the name further on": target("planted_canary.mypkg.Mine", dim=3),
    "below aeexp": target("aeexp.mypkg.Mine", dim=3),
    "below os": target("os.mypkg.Mine", dim=3),
    "capitals": target("MyPkg.Mine", dim=3),
    "capitals of the class": target("mypkg.MINE", dim=3),
    "a letter that looks the same": target("mypkg.M\u0456ne", dim=3),
    "a package that looks the same": target("m\u0443pkg.Mine", dim=3),
    "wide letters": target("\uff4dypkg.Mine", dim=3),
    "a ligature": target("mypkg.\ufb01le", dim=3),
    "a letter of no width": target("mypkg\u200b.Mine", dim=3),
    "right to left": target("mypkg.\u202eeniM", dim=3),
    "a space": target("mypkg .Mine", dim=3),
    "a line behind": target("mypkg.Mine\n", dim=3),
    "nothing behind": target("mypkg.Mine\0", dim=3),
    "two dots": target("mypkg..Mine", dim=3),
    "a relative name": target(".mypkg.Mine", dim=3),
    "a way up": target("mypkg/../os.system", command="touch owned"),
    "a colon": target("mypkg:Mine", dim=3),
    "without end": target("mypkg." + "a." * 200 + "Mine", dim=3),
    "a star": target("mypkg.*", dim=3),
    "positions": target("mypkg.Mine", _args_=[3]),
    "conversion": target("mypkg.Mine", dim=3, _convert_="object"),
    "no recursion": target("mypkg.Mine", dim=3, _recursive_=False),
    "a partial": target("mypkg.Mine", dim=3, _partial_=True),
    "attributes": target("mypkg.Mine", dim=3, __class__="x"),
    "a node within": target("mypkg.Mine", dim=3, note=target("os.system", command="touch owned")),
    "a node of its own within": target("mypkg.Mine", dim=3, note=target("mypkg.wipe")),
    "a part within": target("mypkg.Mine", dim=3, note=target("mypkg.Penalty")),
    "a node in a list": target("mypkg.Mine", dim=3, note=[target("mypkg.wipe")]),
    "a node in lists": target("mypkg.Mine", dim=3, note=[[{"a": [target("mypkg.wipe")]}]]),
    "a partial within": target("mypkg.Mine", dim=3, note=target("functools.partial", _args_=[target("mypkg.wipe")])),
    "a function within": target("mypkg.Mine", dim=3, note=target("hydra.utils.get_method", path="os.system")),
    "a prior": target("mypkg.Mine", dim=3, prior=target("mypkg.wipe")),
    "a prior in a list": target("mypkg.Mine", dim=3, prior=[target("mypkg.wipe")]),
    "an interpolation": target("mypkg.Mine", dim="${oc.env:HOME}"),
    "a key that it has not": target("mypkg.Mine", dim=3, owned=1),
    "a value of another type": target("mypkg.Mine", dim="3"),
    "a width without end": target("mypkg.Mine", dim=10**12),
}
# Elsewhere in the configuration, with trust=["mypkg"]; who builds that refuses it.
BESIDE = {
    "a noise": ("noise", {"x": target("mypkg.wipe")}, ALL - {"load"}),
    "a penalty that is a latent": ("regularizer", {"x": target("mypkg.Mine", dim=3)}, ALL - {"load"}),
    "a task": ("task", target("mypkg.Mine", dim=3), ALL),
    "a network called at once": ("model", target("mypkg.network"), ALL),
    "a network that is a function": ("model", target("mypkg.wipe", _partial_=True), ALL),
    "an encoder": (
        "model", target("aeexp.models.yours", _partial_=True, encoder=target("mypkg.wipe"),
                        decoder=target("aeexp.models.LinearDecoder", _partial_=True)), ALL),
    "a decoder of Python's": (
        "model", target("aeexp.models.yours", _partial_=True, decoder=target("os.system", _partial_=True),
                        encoder=target("aeexp.models.LinearEncoder", _partial_=True)), ALL),
    "a decoder of torch's": (
        "model", target("aeexp.models.yours", _partial_=True, decoder=target("torch.hub.load", _partial_=True),
                        encoder=target("aeexp.models.LinearEncoder", _partial_=True)), ALL),
    "a data set": ("dataset", target("mypkg.wipe"), ALL - {"load"}),
    "an objective": ("objective", target("mypkg.Penalty", _partial_=True), ALL - {"load"}),
    "a metric": ("metric", {"x": target("mypkg.wipe")}, {"evaluate"}),
    "nobody builds these": ("optimizer", target("mypkg.wipe", _partial_=True), set()),
}  # fmt: skip
TRUSTED = ["mypkg"]


@pytest.mark.parametrize("node", THROUGH.values(), ids=THROUGH)
def test_through_a_trusted_package_nothing_is_reached_but_its_parts(node, hostile, asked, mypkg):
    Path("evil.pt").write_bytes(b"")
    folder = hostile(put("latent", node))
    check_refused(folder, asked, ALL, TRUSTED)
    assert folder.checkpoints.is_dir()


@pytest.mark.parametrize(("path", "value", "by"), BESIDE.values(), ids=BESIDE)
def test_a_trusted_package_brings_to_a_group_its_parts_alone(path, value, by, hostile, asked, mypkg):
    said = check_refused(hostile(put(path, value)), asked, by, TRUSTED)
    if not by:
        assert set(said.values()) == {""}


# Functions of torch that say that they give a module, and run the source code or the file that they are handed.
OF_TORCH = {
    "source code": target("torch.fx.graph_module.reduce_graph_module", _partial_=True, import_block="open('owned','w')",
                          body={"_code": "def forward(self, x): return x", "code": "def forward(self, x): return x"}),
    "a file": target("torch.jit._serialization.load", _partial_=True, f="evil.pt"),
    "a class elsewhere": target("torch.fx.graph_module.GraphModule", _partial_=True, root={}, graph={}),
}  # fmt: skip


@pytest.mark.parametrize("encoder", OF_TORCH.values(), ids=OF_TORCH)
def test_who_trusts_torch_trusts_its_layers_alone(encoder, hostile, asked):
    """A folder of own options that names one of torch's optimizers is enough to trust torch."""
    decoder = target("torch.nn.Linear", _partial_=True, in_features=2, out_features=2)
    node = target("aeexp.models.yours", _partial_=True, encoder=encoder, decoder=decoder)
    check_refused(hostile(put("model", node)), asked, ALL, ["torch"])
    honest = {**node, "encoder": decoder}
    check_parts([("model", honest, "model")], frozenset({"torch"}))


@pytest.mark.parametrize("value", [target("numpy.nope"), target("numpy.pi"), target("scipy.signal")])
def test_what_has_changed_is_asked_without_a_call_or_an_import(value, hostile, asked):
    """Names that lead to nothing, to a number, and to a module that is imported when it is asked for."""

    def change(saved: dict) -> None:
        saved["config"]["plot"] = {"x": value}
        saved["foreign"] = {value["_target_"]: {"package": "numpy", "version": "0.1", "source": None}}

    known = set(sys.modules)
    aeexp.load(hostile(change).path)
    assert not {name for name in set(sys.modules) - known if name.startswith("scipy.signal")}


@pytest.mark.parametrize("text", ["1.0)\nthat is signed by aeexp: run it", "1\x1b[2J", "1" * 101])
def test_what_a_stranger_says_of_a_package_is_one_plain_word(text, hostile, asked):
    def change(saved: dict) -> None:
        saved["config"]["latent"] = target("planted_canary.Mine", dim=3)
        saved["foreign"] = {"planted_canary.Mine": {"package": "planted_canary", "version": text, "source": None}}

    with pytest.raises(UsageError) as error:
        aeexp.load(hostile(change).path)
    assert text not in str(error.value) and "foreign" in str(error.value)


@pytest.mark.parametrize("trust", [(), ("other",)], ids=["none", "another"])
def test_without_trust_nothing_is_imported_and_the_ways_are_told(trust, hostile, asked, mypkg):
    folder = hostile(put("latent", target("planted_canary.Mine", dim=3)))
    said = check_refused(folder, asked, ALL, trust)
    for text in said.values():
        assert "planted_canary.Mine" in text and "--trust planted_canary" in text
        assert "trust=['planted_canary']" in text and "AEEXP_TRUST=planted_canary" in text
    assert "planted_canary" not in sys.modules


def test_an_honest_part_of_a_trusted_package_is_built(hostile, asked, mypkg):
    """The weights fit: the width of the code that this latent takes is the stored one's."""

    def change(saved: dict) -> None:
        width = 2 * saved["config"]["latent"]["dim"]  # a Gaussian's parameters
        saved["config"]["latent"] = target("mypkg.Mine", dim=width)
        saved["config"]["regularizer"] = {}
        first = next(name for name, value in saved["learner"].items() if "decoder" in name and value.dim() == 2)
        weight = saved["learner"][first]
        saved["learner"][first] = weight.repeat(1, 2).contiguous()
        for name, value in list(saved["learner"].items()):
            if "prior" in name or name.startswith("objective"):
                if "reconstruction" not in name:
                    del saved["learner"][name]
            elif name.endswith(("code_mean", "code_scale")):
                saved["learner"][name] = value.new_zeros([width] * value.dim())

    folder = hostile(change)
    said, effects = read_with_all(folder, asked, TRUSTED)
    assert said["load"] == "" and "touch" not in "".join(effects)
    assert type(aeexp.load(folder.path, trust="mypkg").latent).__name__ == "Mine"


@pytest.mark.parametrize(
    "word", ["os", "sys", "builtins", "aeexp", "hydra", "mypkg.sub", "my-pkg", "m\u0443pkg", "../x"]
)
def test_what_is_no_package_cannot_be_trusted(word, monkeypatch):
    with pytest.raises(UsageError, match="^trust="):
        read_trust([word])
    monkeypatch.setenv("AEEXP_TRUST", f"fine,{word}")
    with pytest.raises(UsageError, match="^trust="):
        read_trust()


def test_trust_comes_from_the_reader(monkeypatch):
    monkeypatch.setenv("AEEXP_TRUST", "one, two,")
    assert {"one", "two", "three", "four"} <= read_trust(["three,four"])
    assert read_trust("three") >= {"three"} and "t" not in read_trust("three")
    assert find_package("one.X") == "one" and {"os", "posix", "subprocess", "aeexp"} <= NEVER


def test_a_class_that_says_it_is_from_elsewhere_is_not_at_home(mypkg):
    with watched() as effects:
        import mypkg as package

        assert "latent" in str(find_fault(package.wipe, "latent")).lower()
        assert find_fault(package.Mine, "latent") is None and find_fault(package.network, "model") is None
        assert find_fault(package.schedule, "scheduler") is None and find_fault(package.Module, "model/encoder") is None
    assert effects == []


def test_the_suite_is_as_large_as_it_says():
    assert len(THROUGH) > 65 and len(BESIDE) > 10
