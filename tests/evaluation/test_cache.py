"""Baselines are computed once for equal rows and protocol, with the same bits; what lies in the folder is checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from aeexp.evaluation import cache as module
from aeexp.evaluation.cache import Cache
from aeexp.evaluation.identity import Undescribed, describe_part
from aeexp.evaluation.protocol import baselines
from aeexp.evaluation.run import Run
from aeexp.evaluation.uncertainty import Measured
from aeexp.likelihoods.gaussian import Gaussian
from aeexp.metrics.kernel_pca import KernelPCA
from aeexp.metrics.probe import Probe
from aeexp.metrics.reconstruction import Reconstruction

METRICS = {
    "reconstruction": Reconstruction(),
    "probe": Probe(rows=200),
    "kernel_pca": KernelPCA(gammas=[1.0], alphas=[1e-3], rows=100),
}


def spell(table: dict) -> dict:
    """Bits of all numbers and of the ends of their intervals."""
    ends = {Measured: lambda v: (v.hex(), v.low.hex(), v.high.hex())}
    return {row: {k: ends.get(type(v), float.hex)(v) for k, v in values.items()} for row, values in table.items()}


@contextmanager
def nothing_is_fitted(monkeypatch) -> Iterator[None]:
    """No probe, no components, no kernel PCA."""

    def refuse(*given, **named):
        raise AssertionError("it is computed again")

    with monkeypatch.context() as patch:
        for name in (
            "evaluation.probes.fit_probe",
            "evaluation.components.find_components",
            "evaluation.kernel_pca.kernel_pca",
        ):
            patch.setattr(f"aeexp.{name}", refuse)
        yield


def test_what_is_kept_has_the_bits_of_what_is_computed(build_learner, digit_data, tmp_path, monkeypatch):
    alone = baselines(Run(build_learner((1, 8, 8), 5), digit_data), METRICS)
    first = baselines(Run(build_learner((1, 8, 8), 5), digit_data, cache=Cache(tmp_path)), METRICS)
    other = Run(build_learner((1, 8, 8), 5, likelihood=Gaussian(estimate="learned")), digit_data, cache=Cache(tmp_path))
    assert {"pca", "raw", "mean", "kernel_pca"} == set(alone)
    assert spell(first) == spell(alone)
    with nothing_is_fitted(monkeypatch):
        again = baselines(Run(build_learner((1, 8, 8), 5), digit_data, cache=Cache(tmp_path)), METRICS)
        assert other.pca() is not None  # components are those of the rows, whatever the likelihood
    assert spell(again) == spell(alone) and list(again) == list(alone)


def test_the_raw_input_is_measured_once_for_all_widths(build_learner, digit_data, tmp_path, monkeypatch):
    metrics = {"probe": Probe(rows=200)}
    baselines(Run(build_learner((1, 8, 8), 3), digit_data, cache=Cache(tmp_path)), metrics)
    before = set(tmp_path.iterdir())
    rows = baselines(Run(build_learner((1, 8, 8), 4), digit_data, cache=Cache(tmp_path)), metrics)
    new = [
        json.loads(path.read_text())["key"]["row"]
        for path in set(tmp_path.iterdir()) - before
        if path.suffix == ".json"
    ]
    assert new == ["pca"] and rows["raw"]


def change_protocol(monkeypatch):
    return {"probe": Probe(rows=201)}


def change_library(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0.1")
    return {"probe": Probe(rows=200)}


def change_code(monkeypatch):
    monkeypatch.setattr("aeexp.evaluation.identity.digest_code", lambda: "another")
    return {"probe": Probe(rows=200)}


def change_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    return {"probe": Probe(rows=200)}


@pytest.mark.parametrize("change", [change_protocol, change_library, change_code, change_threads])
def test_what_numbers_depend_on_is_part_of_their_key(change, build_learner, digit_data, tmp_path, monkeypatch):
    def measure(metrics):
        baselines(Run(build_learner((1, 8, 8), 3), digit_data, cache=Cache(tmp_path)), metrics)
        return len(list(tmp_path.glob("*.json")))

    few = measure({"probe": Probe(rows=200)})
    assert measure({"probe": Probe(rows=200)}) == few
    assert measure(change(monkeypatch)) == 2 * few


def test_other_rows_have_other_keys(build_learner, as_data, tmp_path):
    x = np.random.default_rng(0).random((60, 1, 8, 8), np.float32)
    for rows in (x, x[::-1].copy(), x[:50]):
        before = len(list(tmp_path.iterdir()))
        run = Run(build_learner((1, 8, 8), 3), as_data(rows, rows, rows), cache=Cache(tmp_path))
        baselines(run, {"reconstruction": Reconstruction()})
        assert len(list(tmp_path.iterdir())) > before


KEY = {"row": "pca", "width": 3}
TABLE = {"": {"a/x": 0.1, "a/y": Measured(1 / 3, 0.25, 0.5)}, "mean": {}}


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    """One bit of a number."""
    place = content.index(b"0.25") + 3 if b"0.25" in content else content.index(np.float64(3).tobytes())
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def replace(content: bytes) -> bytes:
    return b'{"key": {"row": "pca", "width": 3}, "numbers": {"": {"a/x": [NaN]}}, "digest": "0"}'


def pickle(content: bytes) -> bytes:
    import pickle as library

    return library.dumps({"a": 1})


@pytest.mark.parametrize("damage", [cut, flip, replace, pickle, lambda content: b"", lambda content: b"[" * 10**5])
def test_a_damaged_file_is_computed_again(damage, tmp_path):
    cache, calls = Cache(tmp_path), []
    arrays = {"mean": np.arange(4.0), "components": np.eye(2, 4)}
    shapes = {"mean": (4,), "components": (3, 4)}

    def measure():
        calls.append(1)
        return TABLE

    def solve():
        calls.append(1)
        return arrays

    for step, expected in enumerate((2, 2, 4, 4)):
        if step == 2:
            for path in tmp_path.iterdir():
                path.write_bytes(damage(path.read_bytes()))
        table = cache.numbers(KEY, measure, lambda name: name.startswith("a/"))
        found = cache.arrays(KEY, solve, shapes)
        assert spell(table) == spell(TABLE) and len(calls) == expected
        assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_a_file_of_another_key_or_with_undeclared_names_is_no_answer(tmp_path):
    cache = Cache(tmp_path)
    cache.numbers(KEY, lambda: TABLE, lambda name: True)
    (path,) = tmp_path.iterdir()
    other = {**KEY, "width": 4}
    (tmp_path / f"{module._digest(other)}.json").write_bytes(path.read_bytes())
    assert cache.numbers(other, lambda: {"": {"a/x": 7.0}}, lambda name: True) == {"": {"a/x": 7.0}}
    assert cache.numbers(KEY, lambda: {"": {"b": 1.0}}, lambda name: name == "b") == {"": {"b": 1.0}}


def test_larger_arrays_than_there_can_be_are_not_unpacked(tmp_path):
    cache = Cache(tmp_path)
    cache.arrays(KEY, lambda: {"mean": np.zeros(10**6)}, {"mean": (10**6,)})
    (path,) = tmp_path.iterdir()
    with open(path, "wb") as file:
        np.savez_compressed(file, mean=np.zeros(10**6), digest=np.zeros(16, np.uint8))
    found = cache.arrays(KEY, lambda: {"mean": np.ones(4)}, {"mean": (4,)})
    assert np.array_equal(found["mean"], np.ones(4))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Measured(1.0, float("-inf"), 2.0), 3])
def test_what_json_cannot_give_back_is_not_kept(value, tmp_path):
    Cache(tmp_path).numbers(KEY, lambda: {"": {"a": value}}, lambda name: True)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_costs_a_word_and_no_number(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "below")
    assert cache.numbers(KEY, lambda: TABLE, lambda name: True) is TABLE
    assert "not kept" in caplog.text


def test_parts_are_told_apart_by_class_options_and_tensors():
    one, two = Gaussian(0.5), Gaussian(0.7)
    assert describe_part(one) == describe_part(Gaussian(0.5)) != describe_part(two)
    assert describe_part(Probe(rows=3)) != describe_part(Probe(rows=4))
    for strange in (nn.Linear(2, 2), np.zeros(3), lambda: None):
        with pytest.raises(Undescribed):
            describe_part([strange])
    assert describe_part(torch.zeros(3)) != describe_part(torch.zeros(3, 1))
