"""Exported halves give what the model gives, for any number of rows."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from composing import composed
from representatives import few

from aeexp.encoding.export import export_model
from aeexp.errors import UsageError
from aeexp.runs.build import build_autoencoder, build_task
from aeexp.runs.config import check
from aeexp.types import Facts

CASES = {
    "mlp": ((1, 8, 8), ["latent.dim=3"]),
    "conv": ((1, 8, 8), ["model=conv"]),
    "vae": ((1, 8, 8), ["variant=vae"]),
    "topk": ((1, 8, 8), ["variant=k_sparse"]),
    "sigmoid": ((5,), ["latent=sigmoid"]),
    "vq": ((1, 8, 8), ["variant=vq_vae"]),
    "categorical": ((5,), ["latent=categorical"]),
    "sphere": ((5,), ["latent=hyperspherical"]),
    "conditioned": ((1, 8, 8), ["variant=cvae"]),
    "recurrent": ((6, 2), ["variant=recurrent_vae", "model.hidden=4"]),
    "signs": ((1, 8, 8), ["variant=lfq_vae"]),
    "patches": ((1, 8, 8), ["variant=mae"]),
    "transformer": ((6, 1), ["variant=transformer_vae", "model.width=8"]),
    "counts": ((7,), ["variant=count_vae"]),
}


class Untrained:
    """What export reads of a finished run."""

    def __init__(self, shape, words):
        cfg = composed(*words)
        check(cfg)
        torch.manual_seed(0)
        facts = Facts(shape, 10, 0)
        self.model = build_autoencoder(cfg, facts, build_task(cfg, facts)).eval().requires_grad_(False)
        self.saved = {"facts": facts._asdict()}
        self.device = torch.device("cpu")

    def inputs(self, rows: int):
        """Rows, context and mask as far as the model has them."""
        torch.manual_seed(rows)
        shape, size = self.saved["facts"]["shape"], self.model.condition.size
        context = {"context": torch.eye(size)[torch.randint(size, (rows,))]} if size else {}
        mask = torch.arange(shape[0]) < torch.randint(1, shape[0] + 1, (rows, 1))
        return {"x": torch.rand(rows, *shape), **context, **({"mask": mask} if len(shape) == 2 else {})}


def compared(run: Untrained, rows: int, encode, decode) -> None:
    """float32 sums of some hundred products near 1, perhaps in another order: some 1e-6."""
    inputs = run.inputs(rows)
    context = {key: value for key, value in inputs.items() if key == "context"}
    code = run.model.encode(**inputs).mean
    assert torch.allclose(encode(inputs), code, atol=1e-5)
    picture = run.model.decode(code, context.get("context"))
    assert torch.allclose(decode({"z": code, **context}), picture, atol=1e-5)


@pytest.mark.parametrize("case", few(CASES, "conditioned", "mlp", "patches", "recurrent"))
def test_torch_programs_give_the_same_for_any_number_of_rows(case, tmp_path):
    run = Untrained(*CASES[case])
    encoder, decoder = (torch.export.load(path).module() for path in export_model(run, tmp_path, "torch"))
    for rows in (1, 7):
        compared(run, rows, lambda inputs: encoder(**inputs), lambda inputs: decoder(**inputs))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")  # torch.onnx
@pytest.mark.parametrize("case", few(CASES, "vq"))
def test_onnx_files_give_the_same_for_any_number_of_rows(case, tmp_path):
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    runtime = pytest.importorskip("onnxruntime")
    run = Untrained(*CASES[case])
    sessions = [runtime.InferenceSession(str(path)) for path in export_model(run, tmp_path, "onnx")]

    def through(session):
        return lambda inputs: torch.from_numpy(session.run(None, {k: v.numpy() for k, v in inputs.items()})[0])

    for rows in (1, 7):
        compared(run, rows, *map(through, sessions))
    assert {path.name for path in tmp_path.iterdir()} == {"encoder.onnx", "decoder.onnx"}  # weights inside


def test_what_is_there_stays_and_what_is_missing_is_named(tmp_path, monkeypatch):
    run = Untrained(*CASES["sigmoid"])
    (tmp_path / "decoder.pt2").write_bytes(b"mine")
    with pytest.raises(UsageError, match="--force"):
        export_model(run, tmp_path, "torch")
    assert [path.name for path in tmp_path.iterdir()] == ["decoder.pt2"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'aeexp\[onnx\]'"):
        export_model(run, tmp_path, "onnx")
