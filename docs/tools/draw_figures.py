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
DIGITS = "dataset=mnist_small"
BUDGET = "metric=none"  # of the trainer that of the variant


class Drawn(NamedTuple):
    """A command line behind `aeexp`, and which of its figures are kept under which names."""

    words: str
    keep: dict[str, str]  # docs/figures/NAME -> the file below the run folder


def of_variants(figure: str, names: list[str], words: str) -> tuple[str, Drawn]:
    """One figure of each of several variants, of one sweep."""
    kept = {f"variant-{name}": f"{job}/figures/{figure}.png" for job, name in enumerate(names)}
    return f"variant-{names[0]}", Drawn(f"-m variant={','.join(names)} plot={figure} {words}", kept)


def of_plots(words: str, *plots: str, more: str = "") -> tuple[str, Drawn]:
    """Figures that are drawn of one run, each kept as plot-NAME."""
    kept = {f"plot-{plot}": f"figures/{'filters_decoder' if plot == 'filters' else plot}.png" for plot in plots}
    return f"plot-{plots[0]}", Drawn(f"{words} 'plot=[{','.join(plots)}]' {more}", kept)


CODED = ["undercomplete", "linear", "pca", "overcomplete", "denoising", "sparse_l1", "sparse_kl", "k_sparse",
         "contractive", "multitask", "semantic_hashing", "inpainting"]  # fmt: skip
DRAWING = ["vae", "beta_vae", "annealed_vae", "cvae", "iwae", "beta_tc_vae", "factor_vae", "wae", "aae", "info_vae",
           "vamp_vae", "rae_l2", "rae_gp", "semi_supervised"]  # fmt: skip
LAYERS = f"{DIGITS} metric=none"
FEW = f"{DIGITS} metric=none trainer.epochs=8"
ENTRIES = dict(
    [
        of_plots(
            f"variant=vae latent.dim=2 {DIGITS} metric=none trainer.epochs=60",
            "manifold",
            "scatter",
            "interpolation",
            "curves",
        ),
        of_plots(f"variant=vae latent.dim=10 {DIGITS} {BUDGET}", "samples", "traversals", "activations"),
        of_plots(f"variant=denoising latent.dim=32 {DIGITS} {BUDGET}", "reconstructions", "class_error"),
        of_plots(f"variant=cvae {DIGITS} metric=none", "label_swap"),
        of_plots(f"variant=sparse_l1 {DIGITS} {BUDGET}", "filters"),
        of_plots("dataset=wine latent.dim=2 dataset.standardise=true metric=none", "columns"),
        of_plots(f"variant=inpainting {DIGITS} trainer.epochs=20 metric=inpainting", "inpainting"),
        of_plots(f"variant=semantic_hashing {DIGITS} trainer.epochs=15 metric=retrieval", "neighbours"),
        of_plots(f"{DIGITS} trainer.epochs=20 metric=anomaly 'dataset.normal_classes=[0,2,3,4,5,6,7,8,9]'", "anomaly"),
        of_plots(f"variant=denoising {DIGITS} trainer.epochs=15 metric=robustness", "robustness"),
        of_plots(
            "dataset=digits trainer.epochs=100 metric=none",
            "label_budget",
            more="'plot.label_budget.budgets=[10,30,100,300,1000]'",
        ),
        of_plots("variant=segmentation metric=none", "segmentation"),
        of_plots(f"model=conv {DIGITS} metric=none trainer.epochs=4", "checkerboard"),
        of_variants("reconstructions", CODED, f"{DIGITS} {BUDGET}"),
        of_variants("samples", DRAWING, f"{DIGITS} {BUDGET}"),
        of_variants("reconstructions", ["stacked", "stacked_denoising"], LAYERS),
        of_variants("reconstructions", ["deep", "conv"], FEW),
        of_variants("reconstructions", ["vq_vae"], f"{FEW} latent.dim=392"),
        of_variants("segmentation", ["segmentation"], "metric=none"),
        of_variants("samples", ["fair_vae", "recurrent_vae"], BUDGET),
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
            shrink(Path(folder, "run", source), FIGURES / f"{target}.png")


def draw_noises() -> None:
    """Ten digits, and below them what each noise makes of them at the level of its YAML."""
    import numpy as np
    import torch
    from matplotlib.figure import Figure
    from omegaconf import OmegaConf
    from sklearn.datasets import load_digits

    import aeexp.noises
    from aeexp.reference.options import find_file

    rows = torch.as_tensor(load_digits().images[:10, None] / 16, dtype=torch.float32)
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
