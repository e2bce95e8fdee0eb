"""Text as rows of tokens: what is read, what is refused, and that tokens and texts are one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from composing import composed, run_in
from hypothesis import given
from hypothesis import strategies as st

from aeexp.datasets.core.spelling import Spelling, find_letters, respell
from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.formats.text import text
from aeexp.datasets.sets.sentences import sentences
from aeexp.encoding.new_rows import load_rows
from aeexp.errors import UsageError
from aeexp.runs.loading import LoadedRun

SPLIT = Fractions([8, 1, 1])


def load(path, **keys):
    return text(path=str(path), name="lines", split=SPLIT, **keys)


def write(path, *lines):
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12), min_size=1))
def test_what_is_spelled_reads_as_it_was_by_characters_and_by_bytes(texts):
    letters = find_letters(texts)
    for spelling in [Spelling(), *([Spelling(letters)] if 0 < len(letters) <= 255 else [])]:
        x, lengths = spelling.encode(texts, 60)
        assert spelling.read(x / (spelling.size - 1)) == texts
        assert [x[row, length - 1, 0] for row, length in enumerate(lengths)] == [0] * len(texts)  # the end is a step
        assert lengths.tolist() == [1 + (len(each) if spelling.letters else len(each.encode())) for each in texts]


@pytest.mark.parametrize("unit, size", [("characters", 1 + len(set("one owl two héros"))), ("bytes", 256)])
def test_lines_are_rows_with_their_labels_and_every_value_is_a_token(unit, size, tmp_path):
    lines = ["a\tone owl", "b\ttwo owls", "", "b\thé", *["a\trows"] * 9]
    lines = [line.replace("rows", "héros") for line in lines]
    data = load(write(tmp_path / "lines.txt", *lines), unit=unit, longest=8)
    assert data.classes == ("a", "b") and data.shape == (9, 1) and data.facts.tokens == data.spelling.size == size
    batch = data["train"].batch(slice(0, 20))
    texts = data.spelling.read(batch.x.numpy())
    named = [line.split("\t") for line in lines if line]
    assert [[data.classes[y], each] for y, each in zip(batch.y, texts, strict=True)] == [named[i] for i in batch.ids]
    assert data.step == pytest.approx(1 / (size - 1)) and batch.mask.sum(1).tolist() == [
        1 + (len(each) if unit == "characters" else len(each.encode())) for each in texts
    ]


def test_long_lines_are_left_out_and_what_cannot_be_read_is_refused(tmp_path):
    path = write(tmp_path / "lines.txt", *["short"] * 9, "much longer")
    assert sum(len(split) for split in load(path, longest=5).splits.values()) == 9
    with pytest.raises(UsageError, match=r"^path=.*no line has 4 characters or fewer: take dataset.longest=5"):
        load(path, longest=4)
    with pytest.raises(UsageError, match=r"^path=.*row 2 has no label before a tab"):
        load(write(path, "a\tone", "two", "b\tthree"))
    with pytest.raises(UsageError, match=r"^path=.*260 different characters.*take dataset.unit=bytes"):
        load(write(path, *[chr(200 + number) for number in range(260)]))
    with pytest.raises(UsageError, match="^path=.*has no text"):
        load(write(path, " ", ""))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="^path=.*is no UTF-8"):
        load(path)
    with pytest.raises(UsageError, match="^path=.*no such file"):
        load(tmp_path / "none.txt")


def test_another_alphabet_is_brought_to_ones_own_and_a_strange_character_is_named():
    own, other = Spelling("abc "), Spelling("ab")
    x, _ = other.encode(["ba", "a"], 4)
    assert own.read(respell(x, own, other, "new.txt") / (own.size - 1)) == ["ba", "a"]
    with pytest.raises(UsageError, match=r"^new.txt: the run knows no 'c' ' '"):
        respell(x, other, own, "new.txt")
    with pytest.raises(UsageError, match="unit=characters"):
        respell(x, own, Spelling(), "new.txt")


def test_the_sentences_are_of_six_novels_and_of_59_tokens():
    data = sentences(name="sentences", split=SPLIT)
    rows = sum(len(split) for split in data.splits.values())
    assert (rows, len(data.classes), data.facts.tokens, data.shape) == (6618, 6, 59, (48, 1))
    texts = data.spelling.read(data["train"].batch(slice(0, 100)).x.numpy())
    assert all(16 <= len(each) <= 47 and each[0].isupper() and each[-1] in ".!?" for each in texts)
    cfg = composed("variant=text_vae")
    assert cfg.likelihood.levels == cfg.model.tokens == 59


def test_a_run_on_text_tells_tokens_and_takes_new_lines(tmp_path):
    words = ["variant=text_vae", "dataset.limit=60", "trainer.steps=2", "trainer.batch_size=16", "latent.dim=2"]
    words += [
        "model.width=8",
        "model.layers=1",
        "model.heads=2",
        "metric=[reconstruction]",
        "plot=[text,reconstructions]",
    ]
    run_in(tmp_path / "run", *words)
    figures = sorted(path.name for path in (tmp_path / "run/figures").iterdir())
    assert figures == ["text_interpolation.png", "text_reconstructions.png", "text_samples.png"]
    run = LoadedRun(tmp_path / "run")
    parts, _ = load_rows(run, str(write(tmp_path / "new.txt", "It is so.", "Ah! me.")), ["longest=20"])
    letters = run.saved["data"]["letters"]
    assert Spelling(letters).read(parts[""].batch(slice(0, 2)).x.numpy()) == ["It is so.", "Ah! me."]
    told = run.model.decode(torch.zeros(1, 2))
    assert told.shape == (1, 48, 1) and np.allclose((told * 58).round() / 58, told)
    with pytest.raises(UsageError, match="its rows are no text"):
        np.save(tmp_path / "x.npy", np.zeros((3, 48, 1), np.float32))
        load_rows(run, str(tmp_path / "x.npy"))
