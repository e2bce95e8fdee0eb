"""Audio files as spectrograms: a tone is where its frequency is, at its level; classes, splits, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeexp.datasets import audio
from aeexp.datasets.formats.audio import Spectrogram, SpectrogramDecoder, make_filters
from aeexp.datasets.formats.clips import import_or_explain
from aeexp.errors import UsageError

soundfile = pytest.importorskip("soundfile")
RATE = 8000
HOW = Spectrogram(RATE, 256, 128, 24, 20, 80.0)


def tone(frequency: float, seconds: float = 1.0, level: float = 1.0, rate: int = RATE) -> np.ndarray:
    return level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def write(file: Path, samples: np.ndarray, rate: int = RATE, **keys) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, samples, rate, **keys)


def load(folder: Path, **keys):
    given_ = dict(window=256, hop=128, bands=24, length=20) | keys
    return audio.load(path=str(folder), **given_)


def centre(band: int, how: Spectrogram = HOW) -> float:
    """Hz in the middle of a band, from the definition of the mel scale."""
    top = 2595 * np.log10(1 + how.rate / 2 / 700)
    return 700 * (10 ** ((band + 1) * top / (how.bands + 1) / 2595) - 1)


@settings(max_examples=25, deadline=None)
@given(band=st.integers(6, 22), level=st.floats(0.01, 1.0))
def test_a_tone_lies_in_its_band_at_its_level(band, level):
    measure = SpectrogramDecoder(HOW, True, "path=x").measure
    x = measure(tone(centre(band), level=level))
    loudest = x.mean(0).argmax()
    assert abs(int(loudest) - band) <= 1  # the frequency falls between two of the window's, each 31 Hz wide
    # Hann: the three frequencies of a tone have together 1.5 of its power at most, and half at least in one band
    expected = 1 + 20 * np.log10(level) / 80
    assert expected - 3.1 / 80 <= x[:, loudest].max() <= min(1.0, expected + 1.8 / 80)
    assert x.dtype == np.float32 and x.min() >= 0 and x.max() <= 1


def test_silence_is_nothing_and_twice_the_amplitude_six_decibels():
    measure = SpectrogramDecoder(HOW, True, "path=x").measure
    assert not measure(np.zeros(1000)).any()
    quiet, loud = measure(tone(1000, level=0.05)), measure(tone(1000, level=0.1))
    band = loud.mean(0).argmax()
    # of numbers of float32
    assert np.allclose(80 * (loud - quiet)[:, band], 20 * np.log10(2), atol=1e-4)


def test_filters_cover_every_frequency_and_those_that_hold_none_are_refused():
    filters = make_filters(HOW)
    assert filters.shape == (129, 24) and (filters.max(0) > 0).all() and filters.max() <= 1
    with pytest.raises(UsageError, match=r"^bands=200: \d+ of them lie between .* dataset.window=512"):
        make_filters(HOW._replace(bands=200))


@pytest.mark.parametrize("end", ["wav", "flac", "ogg"])
def test_rows_labels_and_forms(tmp_path, end):
    for number, name in enumerate("bbaa"):
        write(tmp_path / name / f"{number}.{end}", tone(500 + 500 * number))
    source = load(tmp_path)
    x = source.rows.x.read()
    assert x.shape == (4, 1, 24, 20) and source.classes == ("a", "b") and source.rows.y.tolist() == [0, 0, 1, 1]
    # the lowest band is the last line, and time runs to the right
    highest = 23 - x[:, 0].mean(2).argmax(1)
    assert (np.diff(highest[[2, 3, 0, 1]]) > 0).all()
    steps = load(tmp_path, sequences=True)
    assert np.array_equal(steps.rows.x.read(), x[:, 0, ::-1].swapaxes(1, 2)) and steps.rows.lengths.tolist() == [20] * 4


def test_each_row_is_where_its_time_is(tmp_path):
    rising = np.concatenate([tone(300 * (1 + i), 0.32) for i in range(5)])  # 20 steps of 128 samples each
    write(tmp_path / "x.wav", rising)
    write(tmp_path / "y.wav", np.stack([rising, -0.5 * rising], 1))  # two channels
    whole = load(tmp_path, length=98, sequences=True).rows.x.read()
    rows = load(tmp_path, every=20, sequences=True).rows
    x = rows.x.read()
    assert x.shape == (8, 20, 24) and rows.lengths.tolist() == [20] * 8
    for place, row in enumerate(x[:4]):
        assert np.array_equal(row, whole[0, 20 * place : 20 * place + 20])
    band = x[0].mean(0).argmax()
    # a quarter of the amplitude; steps of 16 bits are 90 dB below it, and no hundredth of a dB of it
    assert np.allclose(80 * (x[0] - x[4])[:-2, band], 20 * np.log10(4), atol=0.01)


def test_a_short_file_is_silence_behind_its_end_or_masked(tmp_path):
    write(tmp_path / "short.wav", tone(1000, 0.1))
    write(tmp_path / "long.wav", tone(1000, 1.0))
    pictures = load(tmp_path).rows.x.read()
    steps = load(tmp_path, sequences=True).rows
    there = 1 + (800 - 256) // 128
    assert steps.lengths.tolist() == [20, there]
    assert not pictures[1, :, :, there:].any() and pictures[1, :, :, :there].max(1).all()


def test_another_rate_is_refused_and_resampled_where_one_is_named(tmp_path):
    write(tmp_path / "a.wav", tone(1000))
    write(tmp_path / "b.wav", tone(1000, rate=12000), 12000)
    with pytest.raises(UsageError, match=r"^rate=null: .*a.wav has 8000 samples a second, .*b.wav 12000.*rate=8000"):
        load(tmp_path)
    x = load(tmp_path, rate=8000).rows.x.read()
    middle = np.s_[:, :, 2:-2]
    loudest = 23 - x[0, 0].mean(1).argmax()
    # the same tone: the filter of scipy's resampling passes it within a tenth of a decibel
    assert abs(80 * (x[0][middle] - x[1][middle])[0, 23 - loudest]).max() < 0.2


def refuse(folder: Path, match: str, **keys) -> None:
    with pytest.raises(UsageError, match=match):
        source = load(folder, **keys)
        source.rows.x.read()


def test_what_cannot_be_read_is_told_by_its_file(tmp_path):
    refuse(tmp_path, r"^path=.* the folder holds no audio files \(it holds 0 other files\)")
    refuse(tmp_path / "none", r"^path=.*none: the folder .* could not be read")
    (tmp_path / "x.wav").write_bytes(b"no audio at all")
    refuse(tmp_path, r"^path=.*x.wav could not be read as audio: .*\nRepair the file or take it away")
    write(tmp_path / "x.wav", np.zeros(0))
    refuse(tmp_path, r"x.wav could not be read as audio: it has no samples")
    write(tmp_path / "x.wav", np.full(1000, np.nan), subtype="FLOAT")
    refuse(tmp_path, r"x.wav could not be read as audio: it holds NaN")


def test_a_missing_library_is_told_with_its_extra():
    def importing():
        raise ImportError("No module named 'soundfile'")

    with pytest.raises(
        UsageError, match=r"^dataset=audio needs the library `soundfile` .*pip install 'aeexp\[audio\]'"
    ):
        import_or_explain("soundfile", "audio", importing)
