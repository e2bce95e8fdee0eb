"""Video files as rows of frames: those of the file, in order, whatever the codec keeps between whole frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from composing import run_in
from samples import encode_film

from aeexp.datasets import Fractions, video
from aeexp.datasets.core.workers import end_workers
from aeexp.errors import UsageError
from aeexp.runs.folder import RunFolder

av = pytest.importorskip("av")
RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (20, 6, 8, 3), np.uint8)


def load(folder: Path, **keys):
    return video.load(path=str(folder), **keys)


def film(folder: Path, name: str, frames: np.ndarray = FRAMES) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    encode_film(folder / name, frames)


def strip(frames: np.ndarray) -> np.ndarray:
    """(C, H, T W)"""
    return np.concatenate(list(frames), 1).transpose(2, 0, 1)


def test_frames_stand_side_by_side_or_are_steps(tmp_path):
    for number, name in enumerate("ba"):
        film(tmp_path, f"{name}/{number}.mkv")
    source = load(tmp_path, length=5)
    assert source.classes == ("a", "b") and source.rows.y.tolist() == [0, 1] and source.scale == 1 / 255
    assert np.array_equal(source.rows.x.read(), np.stack([strip(FRAMES[:5])] * 2))
    steps = load(tmp_path, length=5, sequences=True).rows
    assert steps.lengths.tolist() == [5, 5]
    assert np.array_equal(steps.x.read()[0], FRAMES[:5].transpose(0, 3, 1, 2).reshape(5, -1))


@pytest.mark.parametrize(("stride", "every"), [(1, 4), (3, 5), (2, 1), (7, 20)])
def test_each_row_is_where_its_time_is(tmp_path, stride, every):
    film(tmp_path, "x.mkv")
    x = load(tmp_path, length=3, stride=stride, every=every).rows.x.read()
    starts = range(0, 20 - 2 * stride, every)
    assert np.array_equal(x, np.stack([strip(FRAMES[start::stride][:3]) for start in starts]))


def test_frames_between_whole_ones_are_found_with_any_codec(tmp_path):
    """A brightness a frame, so that loss does not hide which one it is."""
    levels = np.arange(24) * 10 + 10
    frames = np.broadcast_to(levels[:, None, None, None], (24, 32, 32, 3)).astype(np.uint8)
    for codec, end in (("mpeg4", "mp4"), ("mpeg4", "avi")):
        folder = tmp_path / end
        folder.mkdir()
        encode_film(folder / f"x.{end}", np.ascontiguousarray(frames), codec, "yuv420p")
        x = load(folder, length=4, stride=2, every=5, mode="grey").rows.x.read()
        seen = x.reshape(len(x), 32, 4, 32).mean((1, 3))
        expected = np.stack([levels[start::2][:4] for start in range(0, 24 - 6, 5)])
        assert abs(seen - expected).max() < 5  # half the way to the next frame


def test_a_short_file_is_black_behind_its_end_or_masked(tmp_path):
    film(tmp_path, "a.mkv")
    film(tmp_path, "b.mkv", FRAMES[:3])
    x = load(tmp_path, length=5).rows.x.read()
    assert np.array_equal(x[1, :, :, : 3 * 8], strip(FRAMES[:3])) and not x[1, :, :, 3 * 8 :].any()
    assert load(tmp_path, length=5, sequences=True).rows.lengths.tolist() == [5, 3]


def test_sizes_that_differ_are_refused_and_cut_where_one_is_named(tmp_path):
    film(tmp_path, "a.mkv")
    film(tmp_path, "b.mkv", RNG.integers(0, 256, (9, 10, 8, 3), np.uint8))
    with pytest.raises(UsageError, match=r"(?s)^path=.*differ in size: .*a.mkv has 6x8 .*b.mkv 10x8.*size=\[6,8\]"):
        load(tmp_path)
    assert load(tmp_path, size=[4, 4], length=2, mode="grey").rows.x.read().shape == (2, 1, 4, 8)


def test_workers_decode_the_same_and_tell_the_same(tmp_path):
    for number in range(12):
        film(tmp_path, f"{number:02d}.mkv", np.roll(FRAMES, number, 0))
    keys = dict(path=str(tmp_path), name=None, split=Fractions([8, 1, 1]), residency="disk", every=1, length=4)
    with end_workers():
        ours, plain = (video(workers=count, **keys).place(torch.device("cpu")) for count in (1, 0))
        pairs = zip(ours["train"].epoch(0, 0, 16), plain["train"].epoch(0, 0, 16), strict=True)
        assert all(torch.equal(one.x, other.x) for one, other in pairs)


def test_a_recurrent_network_takes_frames_as_steps(tmp_path):
    for number in range(12):
        film(tmp_path / "films", f"{number:02d}.mkv", np.roll(FRAMES, number, 0)[: 20 - number % 3])  # some end early
    words = [f"dataset.path={tmp_path / 'films'}", "dataset.length=7", "dataset.every=6", "dataset.sequences=true"]
    run_in(tmp_path / "run", "variant=recurrent_vae", "dataset=video", *words, "model.hidden=8", "trainer.steps=6",
           "trainer.batch_size=8", "metric=reconstruction")  # fmt: skip
    run = RunFolder(tmp_path / "run")
    assert run.is_finished() and run.read_metrics()["test"]["reconstruction/mse"] > 0


def test_what_cannot_be_read_is_told_by_its_file(tmp_path):
    with pytest.raises(UsageError, match=r"^path=.* the folder holds no video files"):
        load(tmp_path)
    (tmp_path / "x.mp4").write_bytes(b"no video at all")
    with pytest.raises(UsageError, match=r"^path=.*x.mp4 could not be read as video: .*\nRepair the file or take it"):
        load(tmp_path)
    (tmp_path / "x.mp4").unlink()
    film(tmp_path, "x.mkv")
    rows = load(tmp_path, length=20).rows
    whole = (tmp_path / "x.mkv").read_bytes()
    (tmp_path / "x.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(UsageError, match=r"x.mkv could not be read as video: "):
        rows.x.read()
