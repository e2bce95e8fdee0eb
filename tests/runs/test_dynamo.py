"""torch._dynamo stays away while nothing is compiled, and is there, whole, for what is."""

from __future__ import annotations

import subprocess
import sys

START = """
import sys, torch
from aeexp.runs.dynamo import postpone_dynamo

def is_loaded():
    return "torch._dynamo.eval_frame" in sys.modules

def step(kind):
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 2)
    optimizer = kind(layer.parameters(), lr=0.1)
    torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    for _ in range(3):
        optimizer.zero_grad()
        pull = torch.func.vjp(layer, torch.ones(4, 3))[1]
        (pull(torch.ones(4, 2))[0].square().sum() + layer(torch.ones(4, 3)).square().sum()).backward()
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    return layer.weight.detach().clone()
"""


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", START + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_optimizers_and_gradients_of_functions_step_without_it_and_to_the_same_bits():
    run("""
kinds = [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad,
         torch.optim.Adamax, torch.optim.NAdam]
with postpone_dynamo():
    without = [step(kind) for kind in kinds]
    assert not is_loaded()
assert "torch._dynamo" not in sys.modules and "_dynamo" not in vars(torch)
assert all(torch.equal(a, step(kind)) for a, kind in zip(without, kinds))
assert is_loaded()  # torch as it is: where it changes this, the module in its place can go
with postpone_dynamo():
    assert sys.modules["torch._dynamo"].eval_frame
""")


def test_what_compiles_inside_finds_the_true_one_and_torch_asks_it_again():
    run("""
with postpone_dynamo():
    place, weight = sys.modules["torch._dynamo"], step(torch.optim.Adam)
    assert not is_loaded()
    kept = torch.compiler.disable(lambda x: x + 1)  # a decorator of the user's own is no word of torch's
    assert is_loaded() and kept(1) == 2 and sys.modules["torch._dynamo"] is torch._dynamo is not place
    plain = torch.optim.Optimizer.zero_grad.__wrapped__
    assert not hasattr(plain, "__dynamo_disable")
    double = torch.compile(lambda x: 2 * x, backend="eager")
    assert torch.equal(double(torch.ones(2)), torch.full((2,), 2.0))
    assert torch.equal(step(torch.optim.Adam), weight) and getattr(plain, "__dynamo_disable") is not plain
assert sys.modules["torch._dynamo"] is torch._dynamo and is_loaded()
""")


def test_an_import_of_a_part_loads_it_and_a_look_at_all_modules_does_not():
    run("""
with postpone_dynamo():
    assert [hasattr(module, "__file__") for module in list(sys.modules.values())] and not is_loaded()
    import torch._dynamo.config
    assert is_loaded() and torch._dynamo.config.recompile_limit > 0
""")


def test_a_model_without_memory_is_built_without_it():
    """As a run that is loaded builds it first: `torch.eye` would ask for it, and for sympy."""
    run("""
from aeexp.runs.build import build_learner
from aeexp.runs.composing import compose_run
from aeexp.runs.config import make

for variant in ("undercomplete", "vae"):
    cfg = compose_run([f"variant={variant}"]).cfg
    facts = make(cfg, "dataset").facts
    with torch.device("meta"):
        build_learner(cfg, facts)
assert not is_loaded() and "sympy" not in sys.modules
""")
