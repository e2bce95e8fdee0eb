"""Audio files as rows of log-mel spectrograms, by `soundfile`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Annotated, NamedTuple, final

import numpy as np
from annotated_types import Interval

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
)
from aeexp.datasets.formats.places import Own
from aeexp.errors import UsageError
from aeexp.ranges import Count, Several

FILES = Own("audio files", frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".mp3"}))
Decibels = Annotated[float, Interval(gt=0, le=200)]


class Spectrogram(NamedTuple):
    """How samples become steps of bands."""

    rate: int  # samples a second
    window: int  # samples
    hop: int  # samples between two steps
    bands: int
    length: int  # steps
    floor: float  # decibels below full scale that are 0

    @property
    def samples(self) -> int:
        """Of a row."""
        return self.window + (self.length - 1) * self.hop

    def count_steps(self, samples: int) -> int:
        """Of so many samples; a window that is not full is none, but for the first."""
        return max(1, 1 + (samples - self.window) // self.hop)


class Stretch(NamedTuple):
    """Samples of a file."""

    file: str
    start: int
    samples: int
    rate: int


@final
class SpectrogramDecoder:
    """Stretches of files -> (B, 1, bands, steps) or (B, steps, bands) float32 in [0, 1]: 1 is a sine of full scale."""

    def __init__(self, how: Spectrogram, sequences: bool, key: str):
        self.how = how
        self.sequences = sequences
        self.key = key
        self.filters = make_filters(how)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""
        return (self.how.length, self.how.bands) if self.sequences else (1, self.how.bands, self.how.length)

    def __call__(self, stretches: Sequence[Stretch]) -> np.ndarray:
        return np.stack([self.decode(stretch) for stretch in stretches])

    def decode(self, stretch: Stretch) -> np.ndarray:
        """(*shape); steps behind the end of the file are 0."""
        steps = self.measure(self.read(stretch))
        x = np.zeros((self.how.length, self.how.bands), np.float32)
        x[: len(steps)] = steps[: self.how.length]
        return x if self.sequences else x.T[None, ::-1].copy()  # the lowest band is the last line of the picture

    def measure(self, samples: np.ndarray) -> np.ndarray:
        """(steps, bands) of mono samples (n,)."""
        window, hop = self.how.window, self.how.hop
        samples = np.pad(samples, (0, max(0, window - len(samples))))
        weights = np.hanning(window + 1)[:-1]
        frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop] * weights
        amplitude = np.abs(np.fft.rfft(frames)) / (weights.sum() / 2)
        power = np.square(amplitude) @ self.filters
        decibels = 10 * np.log10(np.maximum(power, 10 ** (-self.how.floor / 10)))
        return np.clip(1 + decibels / self.how.floor, 0, 1).astype(np.float32)

    def read(self, stretch: Stretch) -> np.ndarray:
        """(n,) mono samples at the rate of the rows."""
        try:
            with import_soundfile().SoundFile(stretch.file) as file:
                file.seek(stretch.start)
                x = file.read(stretch.samples, dtype="float32", always_2d=True)
        except Exception as error:  # LibsndfileError, and what a damaged stream raises else
            if isinstance(error, UsageError):
                raise
            raise damage_error(stretch.file, self.key, "audio", error) from error
        if len(x) < stretch.samples:
            wanted, last = stretch.start + stretch.samples, stretch.start + len(x)
            raise damage_error(stretch.file, self.key, "audio", f"{last} samples are there, {wanted} were announced")
        if not np.isfinite(x).all():
            raise damage_error(stretch.file, self.key, "audio", "it holds NaN or infinity")
        mono = x.mean(1)
        if stretch.rate == self.how.rate:
            return mono
        from scipy.signal import resample_poly

        common = math.gcd(stretch.rate, self.how.rate)
        return resample_poly(mono, self.how.rate // common, stretch.rate // common)


def make_filters(how: Spectrogram) -> np.ndarray:
    """(window / 2 + 1, bands) triangles between equal steps of the mel scale (2595 log10(1 + f / 700)), peak 1.

    Raises UsageError where bands are so narrow that one has no frequency.
    """
    top = 2595 * math.log10(1 + how.rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, how.bands + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(how.window, 1 / how.rate)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    filters = np.minimum(rising, falling).clip(min=0)
    empty = int((filters.max(0) == 0).sum())
    if empty:
        raise UsageError(
            f"bands={how.bands}: {empty} of them lie between two frequencies of window={how.window} samples at "
            f"{how.rate} Hz: take fewer bands, or a longer window, as dataset.window={2 * how.window}"
        )
    return filters


@DataSet
def audio(
    path: str,
    val: str | None = None,
    test: str | None = None,
    rate: Count | None = None,
    window: Several = 1024,
    hop: Count = 256,
    bands: Count = 64,
    length: Count = 64,
    every: Count | None = None,
    floor: Decibels = 80.0,
    sequences: bool = False,
) -> Source:
    """Log-mel spectrograms of the audio files (.wav, .flac, .ogg, .mp3) in a folder, or in sub-folders that name their
    classes, as `folder` has them.

    A row is `length` steps of `bands` numbers from 0 (`floor` decibels below full scale, or less) to 1: pictures
    (1, bands, length), high frequencies on top, or `sequences` (length, bands), which are masked where a file ends.
    A step is a Hann window of `window` samples, the next one `hop` further. Channels are averaged. `every` None takes
    a row from the beginning of each file, else one begins at each so many steps. Files of another `rate` (samples a
    second) are resampled; None: all have the same.
    """
    parts = find_parts(path, val, test, FILES)

    def open_clips(files: list[str]) -> Clips:
        return _open_clips(files, f"path={path}", rate, (window, hop, bands, length, floor), every, sequences)

    return make_source(parts, open_clips, length, 1.0, sequences)


def _open_clips(
    files: list[str], key: str, rate: int | None, numbers: tuple[int, int, int, int, float], every: int | None,
    sequences: bool,
) -> Clips:  # fmt: skip
    heads = [_read_header(file, key) for file in files]
    own = heads[0][0]
    for file, (other, _) in zip(files, heads, strict=True):
        if rate is None and other != own:
            raise UsageError(
                f"rate=null: {files[0]} has {own} samples a second, {file} {other}: resample them all by "
                f"dataset.rate={min(own, other)}"
            )
    how = Spectrogram(own if rate is None else rate, *numbers)
    decoder = SpectrogramDecoder(how, sequences, key)
    stretches, places, lengths = [], [], []
    for place, (file, (there, samples)) in enumerate(zip(files, heads, strict=True)):
        steps = how.count_steps(samples * how.rate // there)
        for first in choose_starts(steps, how.length, every):
            start = first * how.hop * there // how.rate
            stretches.append(Stretch(file, start, min(-(-how.samples * there // how.rate), samples - start), there))
            places.append(place)
            lengths.append(min(how.length, steps - first))
    return Clips(ClipRows(stretches, decoder, np.float32), np.array(places), np.array(lengths))


def _read_header(file: str, key: str) -> tuple[int, int]:
    """Samples a second, and samples. Raises UsageError where there are none."""
    try:
        info = import_soundfile().info(file)
    except UsageError:
        raise
    except Exception as error:  # LibsndfileError, and what a damaged header raises else
        raise damage_error(file, key, "audio", error) from error
    if info.frames < 1:
        raise damage_error(file, key, "audio", "it has no samples")
    return info.samplerate, info.frames


def import_soundfile() -> ModuleType:
    """`soundfile`. Raises UsageError where it is not installed."""

    def importing() -> ModuleType:
        import soundfile

        return soundfile

    return import_or_explain("soundfile", "audio", importing)
