"""Where numbers and figures go: console, history.csv, TensorBoard. No other file knows them."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, final

import numpy as np
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata  # pyright: ignore[reportAttributeAccessIssue] -- made at import
from tensorboard.plugins.hparams.api_pb2 import Status  # pyright: ignore[reportAttributeAccessIssue] -- made at import
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo  # pyright: ignore[reportAttributeAccessIssue] -- made at import
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams
from tqdm.auto import tqdm

from aeexp.drawing.animation import Animation, encode_gif
from aeexp.runs.film import Film
from aeexp.runs.folder import RunFolder
from aeexp.runs.machine import is_notebook
from aeexp.runs.projector import add_bookmark, write_cell
from aeexp.runs.titles import write_plain
from aeexp.timing import Pace, stage
from aeexp.trainers import contracts
from aeexp.trainers.checkpoint import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # not to be loaded where nothing is drawn

log = logging.getLogger(__name__)
SavePicture = Callable[[str, np.ndarray], None]
FAILED = ".failed"  # ending of the event file that holds nothing but the status FAILURE


@final
class Tracker(contracts.Tracker):
    """Follows one run. On a terminal and in a notebook a progress bar, else one line a validation.

    `on_step` is told at each validation where the run stands, and may raise to end it; `sketch` gives pictures of
    the model as it stands to what it is called with: before the first step, then at validations 1, 2, 4, 8, ...
    `film` keeps its frames, `probe` gives what is read of its codes. `title` is what TensorBoard calls the run.
    """

    def __init__(
        self,
        folder: RunFolder, hyperparameters: Mapping[str, Any], *, bar: bool, on_step: Callable[[Progress], None],
        sketch: Callable[[SavePicture], None] = lambda save: None, film: Film | None = None,
        probe: Callable[[], Mapping[str, float]] = dict, title: str = "run",
    ):  # fmt: skip
        self.folder = folder
        self.hyperparameters = hyperparameters
        shown = bar and (sys.stderr.isatty() or is_notebook())
        self.bar = tqdm(unit="step", leave=False, file=sys.stderr) if shown else None
        self.on_step = on_step
        self.sketch = sketch
        self._film, self._probe = film, probe
        self.events = folder.find_events(title)
        self.total, self._pace = 0, Pace()
        self._unwritten: list[dict[str, Any]] = []
        self._writer: SummaryWriter | None = None
        self._end: Summary | None = None

    @property
    def writer(self) -> SummaryWriter:
        """TensorBoard's, once the run is started."""
        if self._writer is None:
            raise RuntimeError("start comes first")
        return self._writer

    @stage("tensorboard")
    def start(self, total: int, progress: Progress) -> None:
        """Open TensorBoard; what an earlier try wrote beyond this step is dropped."""
        for path in self.events.glob(f"*{FAILED}"):
            path.unlink()
        known = any(self.events.glob("events*"))
        self._writer = SummaryWriter(str(self.events), purge_step=progress.step + 1 if progress.step else None)
        for row in () if known else progress.history:  # of another folder, whose curves go on here
            self._add_row(row)
        values = {key: write_plain(value) for key, value in self.hyperparameters.items() if value is not None}
        # Without the first summary, which is for all runs, TensorBoard takes every run's columns.
        _, session, self._end = hparams(values, {})
        _add_summary(self.writer, session)
        self.total = total
        if self._film is not None:
            self._film.begin(progress.step)
        if progress.step == 0:
            self.sketch(partial(self.log_sketch, progress.step))
        if self.bar is not None:
            self.bar.total, self.bar.n = total, progress.step

    @stage("tensorboard")
    def train(self, step: int, values: Mapping[str, float], lr: float, split: str = "train") -> None:
        """Means over the last steps; `split` is the head of the tags, layer_1/train in the first stage of several."""
        if not values:
            return
        for name, value in {**values, "lr": lr}.items():
            self.writer.add_scalar(f"{split}/{name}", value, step)
        if self.bar is not None:
            self.bar.update(step - self.bar.n)
            self.bar.set_postfix(loss=f"{values['loss']:.4g}")

    def evaluation(self, progress: Progress) -> None:
        """The history's last two rows: training and validation."""
        train, val = progress.history[-2:]
        self._add_row(val)
        self._unwritten = progress.history
        if self._pace.is_due():
            self.write_history(progress.history)
        best = "  best" if progress.best_step == progress.step else ""
        if best and progress.best != val["loss"]:
            best += f" {progress.best:.4f}"  # of what is monitored
        stage = val["split"].removesuffix("val").replace("/", "  ")  # of several
        line = (
            f"{stage}step {val['step']}/{self.total}  epoch {val['epoch']:.4g}  "
            f"train {train['loss']:.4f}  val {val['loss']:.4f}{best}"
        )
        if self.bar is None:
            log.info(line)
        else:
            self.bar.set_description(f"{stage}epoch {val['epoch']:.4g}, val {val['loss']:.4g}")
        validations = len(progress.history) // 2
        if validations & (validations - 1) == 0 or progress.step == self.total:
            self.sketch(partial(self.log_sketch, progress.step))
        self.on_step(progress)

    def is_filmed(self, step: int, epoch: float) -> bool:
        """Whether the state after this step is a frame of the film."""
        return self._film is not None and self._film.is_due(step, epoch)

    def film(self, step: int, epoch: float) -> None:
        """Keep it."""
        if self._film is not None:
            self._film.keep(step, epoch)

    def probe(self) -> Mapping[str, float]:
        """What is read of the validation codes of the learner as it stands."""
        return self._probe()

    @stage("tensorboard")
    def _add_row(self, row: Mapping[str, Any]) -> None:
        for name in row.keys() - {"step", "epoch", "split", "lr"}:
            self.writer.add_scalar(f"{row['split']}/{name}", row[name], row["step"])

    @stage("tensorboard")
    def log_sketch(self, step: int, name: str, picture: np.ndarray) -> None:
        """A picture (H, W, 3) of the model in training, under training/...: one series with a slider in TensorBoard."""
        self.writer.add_image(f"training/{name}", picture, step, dataformats="HWC")

    def close_bar(self) -> None:
        """Before anything else is printed."""
        if self.bar is not None:
            self.bar.close()

    @stage("files")
    def write_history(self, rows: list[dict[str, Any]]) -> None:
        """history.csv: one row an evaluation."""
        self._unwritten = []
        self.folder.write_history(rows)

    @stage("tensorboard")
    def log_final(self, split: str, values: Mapping[str, float], step: int, headlines: Collection[str] = ()) -> None:
        """What was measured at the best state: all of it is values/..., which TensorBoard sorts behind the curves,
        and its headlines are test/... as well. A curve's own tag would cut the curve off at this step."""
        for name, value in values.items():
            self.writer.add_scalar(f"values/{split}/{name}", value, step)
            if name in headlines:
                self.writer.add_scalar(f"{split}/{name}", value, step)

    def log_figure(self, name: str, figure: Figure | Animation, step: int) -> None:
        """figures/<name>.png, and the same picture in TensorBoard; <name>.gif of an animation."""
        save_figure(self.folder, self.writer, name, figure, step)

    def log_film(self, name: str, animation: Animation, steps: Sequence[int]) -> None:
        """figures/film_<name>.gif, and the frames at their steps in TensorBoard, where a slider goes through them."""
        self.folder.write_figure(f"film_{name}.gif", encode_gif(animation))
        with stage("tensorboard"):
            for frame, step in zip(animation.frames, steps, strict=True):
                self.writer.add_image(f"film/{name}", frame, step, dataformats="HWC")

    @stage("tensorboard")
    def log_codes(self, codes: np.ndarray, metadata: Mapping[str, list], pictures: Tensor | None, step: int) -> None:
        """Codes (N, D) with at least two named columns; pictures (N, C, H, W) in [0, 1] become sprites."""
        rows = [[write_cell(column[i]) for column in metadata.values()] for i in range(len(codes))]
        with warnings.catch_warnings():
            # an earlier try of this run may have left the folder: it is written anew
            warnings.simplefilter("ignore", UserWarning)
            self.writer.add_embedding(codes, rows, pictures, step, tag="codes", metadata_header=list(metadata))
        if len(set(metadata.get("label", ()))) > 1:
            add_bookmark(self.events, f"codes:{step:05}", "label")

    @stage("tensorboard")
    def close(self, finished: bool) -> None:
        """Ends the HParams row: SUCCESS, or FAILURE for a run that did not get to its end."""
        self.close_bar()
        if self._unwritten:
            with suppress(OSError):  # the checkpoints have the rows, and what refuses them has been told
                self.write_history(self._unwritten)
        if self._writer is None:
            return
        if finished:
            _add_summary(self.writer, self._end)
        self.writer.close()
        if not finished:
            # TensorBoard keeps the first status that it reads: this one is in a file of its own, which can go
            with SummaryWriter(str(self.events), filename_suffix=FAILED) as writer:
                _add_summary(writer, _build_failure())


def save_figure(folder: RunFolder, writer: SummaryWriter, name: str, figure: Figure | Animation, step: int) -> None:
    """`Tracker.log_figure` with a writer of one's own: the same file lies in TensorBoard's images, all of a run in
    one group, and a browser plays one that moves."""
    from aeexp.drawing.page import encode_png  # with matplotlib, which is not loaded where nothing is drawn

    moves = isinstance(figure, Animation)
    content = encode_gif(figure) if moves else encode_png(figure)
    folder.write_figure(f"{name}.{'gif' if moves else 'png'}", content)
    with stage("tensorboard"), Image.open(io.BytesIO(content)) as picture:
        width, height = picture.size
        image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=content)
        _add_summary(writer, Summary(value=[Summary.Value(tag=f"figures/{name}", image=image)]), step)


@contextmanager
def open_album(folder: RunFolder, step: int) -> Iterator[Callable[[str, Figure | Animation], None]]:
    """Figures of a run that is through: PNG files, and pictures in an event file of their own, made with the first; no
    hyperparameters, of which the run has its row."""
    writers: list[SummaryWriter] = []

    def add(name: str, figure: Figure | Animation) -> None:
        if not writers:
            writers.append(SummaryWriter(str(folder.find_events("run"))))
        save_figure(folder, writers[0], name, figure, step)

    try:
        yield add
    finally:
        for writer in writers:
            writer.close()


def _add_summary(writer: SummaryWriter, summary: Any, step: int | None = None) -> None:
    """What SummaryWriter itself has no method for."""
    file_writer = writer.file_writer
    if file_writer is None:
        raise RuntimeError("the writer is closed")
    file_writer.add_summary(summary, step)


def _build_failure() -> Summary:
    end = SessionEndInfo(status=Status.Value("STATUS_FAILURE"))
    content = HParamsPluginData(session_end_info=end, version=0).SerializeToString()
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="hparams", content=content))
    return Summary(value=[Summary.Value(tag="_hparams_/session_end_info", metadata=metadata)])
