"""Video files as rows of frames, by `av`."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal, NamedTuple, final

import numpy as np

from aeexp.datasets.core.assemble import DataSet
from aeexp.datasets.core.records import Source
from aeexp.datasets.formats.clips import (
    ClipRows,
    Clips,
    choose_starts,
    damage_error,
    find_parts,
    import_or_explain,
    make_source,
    name_shape,
)
from aeexp.datasets.formats.pictures import cut
from aeexp.datasets.formats.places import Own
from aeexp.errors import UsageError
from aeexp.ranges import Count

FILES = Own(
    "video files", frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ogv", ".gif"})
)
Mode = Literal["grey", "color"]


class Film(NamedTuple):
    """What a file says of its frames before they are decoded."""

    size: tuple[int, int]  # H, W
    times: np.ndarray  # (n,) when each is shown, ascending, in the stream's units


class Cut(NamedTuple):
    """Frames of a file, by the times at which they are shown."""

    file: str
    times: tuple[int, ...]


@final
class FrameDecoder:
    """Cuts -> (B, C, H, length W), frames side by side, or (B, length, C H W) uint8; frames that lack are black."""

    def __init__(self, length: int, mode: Mode, size: tuple[int, int], sequences: bool, key: str):
        self.length = length
        self.mode: Mode = mode
        self.size = size
        self.sequences = sequences
        self.key = key
        self.frame = (1 if mode == "grey" else 3, *size)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""
        c, h, w = self.frame
        return (self.length, c * h * w) if self.sequences else (c, h, self.length * w)

    def __call__(self, cuts: Sequence[Cut]) -> np.ndarray:
        return np.stack([self.decode(each) for each in cuts])

    def decode(self, wanted: Cut) -> np.ndarray:
        """(*shape)"""
        frames = np.zeros((self.length, *self.frame), np.uint8)
        for place, frame in enumerate(self.read(wanted)):
            frames[place] = frame
        return frames.reshape(self.shape) if self.sequences else np.concatenate(list(frames), axis=2)

    def read(self, wanted: Cut) -> list[np.ndarray]:
        """(C, H, W) of each frame."""
        av, found = import_av(), {}
        try:
            with av.open(wanted.file) as container:
                stream = container.streams.video[0]
                stream.codec_context.thread_count = 1  # workers are processes
                container.seek(wanted.times[0], stream=stream)  # to the last whole frame before it
                for frame in container.decode(stream):
                    if frame.pts in wanted.times:
                        found[frame.pts] = self.convert(frame)
                        if len(found) == len(wanted.times):
                            break
        except (av.FFmpegError, ValueError, OSError) as error:
            raise damage_error(wanted.file, self.key, "video", error) from error
        lacking = [time for time in wanted.times if time not in found]
        if lacking:
            reason = f"{len(lacking)} of {len(wanted.times)} frames could not be decoded"
            raise damage_error(wanted.file, self.key, "video", reason)
        return [found[time] for time in wanted.times]

    def convert(self, frame: Any) -> np.ndarray:
        """(C, H, W), cut about its centre and resized where it has another size."""
        x = frame.to_ndarray(format="gray" if self.mode == "grey" else "rgb24")
        if x.shape[:2] != self.size:
            from PIL import Image

            x = np.asarray(cut(Image.fromarray(x), *self.size))
        return x[None] if x.ndim == 2 else x.transpose(2, 0, 1)


@DataSet
def video(
    path: str,
    val: str | None = None,
    test: str | None = None,
    length: Count = 8,
    stride: Count = 1,
    every: Count | None = None,
    size: list[Count] | None = None,
    mode: Mode = "color",
    sequences: bool = False,
) -> Source:
    """Frames of the video files in a folder, or in sub-folders that name their classes, as `folder` has them.

    A row is `length` frames, each `stride` behind the one before: pictures (C, H, length W) of frames side by side, or
    `sequences` (length, C H W), a step a frame, which are masked where a file ends. `every` None takes a row from the
    beginning of each file, else one begins at each so many frames. `size` [H, W] cuts about the centre and resizes, as
    `Pictures` does; None: all files have one size.
    """
    if size is not None and len(size) != 2:
        raise UsageError(f"size={size}: give height and width in pixels, as in dataset.size=[64,64]")
    parts = find_parts(path, val, test, FILES)

    def open_clips(files: list[str]) -> Clips:
        key = f"path={path}"
        films = [_read_film(file, key) for file in files]
        shape = (size[0], size[1]) if size is not None else _check_sizes(files, films, key)
        cuts, places, lengths = [], [], []
        for place, (file, film) in enumerate(zip(files, films, strict=True)):
            for first in choose_starts(len(film.times), (length - 1) * stride + 1, every):
                cuts.append(Cut(file, tuple(film.times[first::stride][:length].tolist())))
                places.append(place)
                lengths.append(len(cuts[-1].times))
        decoder = FrameDecoder(length, mode, shape, sequences, key)
        return Clips(ClipRows(cuts, decoder, np.uint8), np.array(places), np.array(lengths))

    return make_source(parts, open_clips, length, 1 / 255, sequences)


def _read_film(file: str, key: str) -> Film:
    """Size and times of the first video stream; nothing is decoded. Raises UsageError where there is none."""
    av = import_av()
    try:
        with av.open(file) as container:
            if not container.streams.video:
                raise damage_error(file, key, "video", "it has no frames")
            stream = container.streams.video[0]
            size = stream.codec_context.height, stream.codec_context.width
            times = sorted(packet.pts for packet in container.demux(stream) if packet.size and packet.pts is not None)
    except (av.FFmpegError, ValueError, OSError) as error:
        if isinstance(error, UsageError):
            raise
        raise damage_error(file, key, "video", error) from error
    if not times or min(size) < 1:
        raise damage_error(file, key, "video", "it has no frames")
    return Film(size, np.array(times, np.int64))


def _check_sizes(files: list[str], films: list[Film], key: str) -> tuple[int, int]:
    first = films[0].size
    for file, film in zip(files, films, strict=True):
        if film.size != first:
            raise UsageError(
                f"{key}: videos differ in size: {files[0]} has {name_shape(first)} pixels (HxW), {file} "
                f"{name_shape(film.size)}.\nCut and resize them all by dataset.size=[H,W], as in "
                f"dataset.size=[{first[0]},{first[1]}]."
            )
    return first


def import_av() -> ModuleType:
    """`av`. Raises UsageError where it is not installed."""

    def importing() -> ModuleType:
        import av

        return av

    return import_or_explain("av", "video", importing)
