"""Draws the figures of the documentation anew: `python docs/tools/draw_figures.py [NAME...]`, without a name all.

Each entry is a command line and the figures that are kept of its run, as docs/figures/NAME.png. Pictures are stored
with 64 colours and at most 760 pixels wide, as a page shows them: they are to be looked at, not measured.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from PIL import Image

DOCS = Path(__file__).resolve().parents[1]
FIGURES = DOCS / "figures"
WIDTH, COLOURS = 760, 64
# a plot's figure, where it is called otherwise or one of several
FILES = {"filters": "filters_decoder", "text": "text_interpolation"}
# What shows best what a variant is for. Each is a picture of `aeexp variant=NAME`, as it is.
VARIANTS = {
    "reconstructions": [
        "undercomplete", "overcomplete", "deep", "conv", "denoising", "contractive", "multitask", "stacked",
        "stacked_denoising", "memoriser", "vq_vae", "rvq_vae", "product_vq_vae", "fsq_vae", "lfq_vae",
        "transformer_vae", "recurrent_vae",
    ],
    "samples": [
        "vae", "annealed_vae", "iwae", "miwae", "ciwae", "piwae", "iaf_vae", "flow_prior_vae", "vamp_vae", "ladder_vae",
        "vae_gan", "wae", "swae", "aae", "info_vae", "rae_l2", "rae_gp",
    ],
    "traversals": ["beta_vae", "beta_tc_vae", "factor_vae", "dip_vae"],
    "filters": ["linear", "pca", "sparse_pca", "ica", "k_sparse"],
    "dictionary": [
        "nmf", "dictionary_learning", "topk_sae", "batch_topk_sae", "matryoshka_sae", "relu_sae", "gated_sae",
        "jumprelu_sae", "sparse_kl", "sparse_l1",
    ],
    "label_swap": ["cvae", "fair_vae", "semi_supervised"],
    "segmentation": ["segmentation", "segnet"],
    "inpainting": ["inpainting"],
    "neighbours": ["semantic_hashing"],
    "predictive": ["count_vae"],
    "patches": ["mae"],
    "text": ["text_vae"],
}  # fmt: skip


class Drawn(NamedTuple):
    """A command line behind `aeexp`, and which of its figures are kept under which names."""

    words: str
    keep: dict[str, str]  # docs/figures/NAME -> the figure, or JOB/FIGURE of a sweep


def of_plots(words: str, *plots: str, more: str = "") -> tuple[str, Drawn]:
    """Figures that are drawn of one run, each kept as plot-NAME."""
    kept = {f"plot-{plot}": FILES.get(plot, plot) for plot in plots}
    return f"plot-{plots[0]}", Drawn(f"{words} 'plot=[{','.join(plots)}]' {more}".strip(), kept)


def of_variants(plot: str, names: list[str]) -> tuple[str, Drawn]:
    """One figure of each of several variants, of one sweep."""
    file = FILES.get(plot, plot)
    if len(names) == 1:
        return f"variants-{plot}", Drawn(f"variant={names[0]} plot={plot} metric=none", {f"variant-{names[0]}": file})
    kept = {f"variant-{name}": f"{job}/{file}" for job, name in enumerate(names)}
    return f"variants-{plot}", Drawn(f"-m variant={','.join(names)} plot={plot} metric=none", kept)


ONES = "'dataset.normal_classes=[1]'"
ENTRIES = dict(
    [
        of_plots("variant=vae latent.dim=2 optimizer.lr=3e-3 metric=none", "manifold", "scatter"),
        of_plots("variant=vae metric=none", "interpolation", "curves"),
        of_plots("variant=vae latent.dim=10 metric=none", "samples", "traversals", "activations"),
        of_plots("variant=denoising metric=none", "reconstructions", "class_error"),
        of_plots("variant=cvae metric=none", "label_swap"),
        of_plots("variant=k_sparse metric=none", "filters"),
        of_plots("variant=topk_sae metric=none", "dictionary"),
        of_plots("dataset=wine latent.dim=2 dataset.standardise=true metric=none", "columns"),
        of_plots("variant=inpainting metric=inpainting", "inpainting"),
        of_plots("variant=semantic_hashing metric=retrieval", "neighbours"),
        of_plots(f"{ONES} metric=anomaly", "anomaly"),
        of_plots("variant=denoising metric=robustness", "robustness"),
        of_plots("metric=none", "label_budget", more="'plot.label_budget.budgets=[10,30,100,300,1000]'"),
        of_plots("variant=segmentation metric=none", "segmentation"),
        of_plots("model=conv metric=none trainer.epochs=5", "checkerboard"),
        *(of_variants(plot, names) for plot, names in VARIANTS.items()),
    ]
)


def shrink(source: Path, target: Path) -> None:
    """A copy of few colours, no wider than a page."""
    with Image.open(source) as picture:
        drawn = picture.convert("RGB")
    if drawn.width > WIDTH:
        drawn = drawn.resize((WIDTH, round(drawn.height * WIDTH / drawn.width)), Image.Resampling.LANCZOS)
    drawn.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(target, optimize=True)


def draw(name: str) -> None:
    """Runs the entry's command in a folder of its own and keeps its figures. Raises CalledProcessError."""
    entry = ENTRIES[name]
    with tempfile.TemporaryDirectory() as folder:
        places = [f"hydra.run.dir={folder}/run", f"hydra.sweep.dir={folder}/run"]
        words = [*shlex.split(entry.words), "seed=0", "threads=1", *places]
        subprocess.run([sys.executable, "-m", "aeexp", *words], check=True, stdout=subprocess.DEVNULL)
        for target, source in entry.keep.items():
            head, _, figure = source.rpartition("/")
            shrink(Path(folder, "run", head, "figures", f"{figure}.png"), FIGURES / f"{target}.png")


def draw_noises() -> None:
    """Ten digits, and below them what each noise makes of them at the level of its YAML."""
    import numpy as np
    import torch
    from matplotlib.figure import Figure
    from omegaconf import OmegaConf

    import aeexp.noises
    from aeexp.reference.options import find_file

    with np.load(DOCS.parent / "aeexp/datasets/sets/mnist_small.npz") as held:
        first = [int(np.argmax(held["y_test"] == digit)) for digit in range(10)]
        rows = torch.as_tensor(held["x_test"][first, None] / 255, dtype=torch.float32)
    for name in ("gaussian", "masking", "salt_pepper", "block"):
        torch.manual_seed(0)
        node = dict(OmegaConf.load(find_file(f"noise/{name}"))[name])
        noise = getattr(aeexp.noises, node.pop("_target_").rpartition(".")[2])(**node)
        figure = Figure(figsize=(10, 2.1), layout="constrained")
        for grid, axes in zip((rows, noise(rows)), figure.subplots(2, 10), strict=True):
            for picture, axis in zip(np.asarray(grid), axes, strict=True):
                axis.imshow(picture[0], cmap="gray", vmin=0, vmax=1)
                axis.set_axis_off()
        path = FIGURES / f"noise-{name}.png"
        figure.savefig(path, dpi=100)
        shrink(path, path)


def main() -> None:
    """The command."""
    FIGURES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or [*ENTRIES, "noises"]:
        print(name, flush=True)
        if name == "noises":
            draw_noises()
        else:
            draw(name)


if __name__ == "__main__":
    main()
