"""A checkpoint is what was written, to the last bit, or it is refused; torch reads the file as any of its own."""

from __future__ import annotations

import io
import random
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aeexp.trainers import archive
from aeexp.trainers.archive import Damaged, read_archive, write_archive
from aeexp.trainers.checkpoint import Unreadable, load
from aeexp.trainers.joint import Joint

CONTENT = {"run_id": "a", "learner": {"w": torch.arange(50.0)}, "progress": {"step": 1}}


def written(content=CONTENT) -> bytes:
    write_archive(content, buffer := io.BytesIO())
    return buffer.getvalue()


GOOD = written()


def test_torch_and_zip_read_it_as_any_other(tmp_path):
    (tmp_path / "x.pt").write_bytes(GOOD)
    saved = torch.load(tmp_path / "x.pt", weights_only=True)
    assert saved["run_id"] == "a" and torch.equal(saved["learner"]["w"], torch.arange(50.0))
    with zipfile.ZipFile(tmp_path / "x.pt") as opened:
        assert opened.testzip() is None and opened.comment.startswith(b"aeexp blake2b ")
    assert torch.equal(read_archive(io.BytesIO(GOOD))["learner"]["w"], torch.arange(50.0))


def test_a_file_of_torch_without_a_checksum_is_read():
    torch.save(CONTENT, buffer := io.BytesIO())
    assert read_archive(buffer)["run_id"] == "a"


def test_every_single_bit_counts():
    """All 8 x 2,000 of them: in the weights, in names, sizes, padding and the directory, in the checksum itself."""
    unnoticed = []
    for place in range(8 * len(GOOD)):
        content = bytearray(GOOD)
        content[place // 8] ^= 1 << place % 8
        try:
            read_archive(io.BytesIO(content))
        except Damaged:
            continue
        unnoticed.append(place)
    assert unnoticed == [] and len(GOOD) > 1000


def test_a_flipped_bit_in_the_files_of_a_run_is_noticed(run):
    """The report from a user: 39 of 40 such flips were loaded in silence. 150 in each of the two files."""
    folder = run("run", Joint(steps=14, batch_size=8)).folder
    draw = random.Random(0)
    for name in ("best.pt", "last.pt"):
        good = (folder / name).read_bytes()
        load(folder / name)
        for _ in range(150):
            content = bytearray(good)
            content[draw.randrange(len(good))] ^= 1 << draw.randrange(8)
            (folder / "flipped.pt").write_bytes(content)
            with pytest.raises(Unreadable) as error:
                load(folder / "flipped.pt")
            message = str(error.value)
            assert len(message.splitlines()) == 1 and "weights_only" not in message


@settings(max_examples=200)
@given(st.floats(0, 1, exclude_max=True), st.sampled_from([b"", b"\0", b"\0" * 200, b"PK\x05\x06" + b"\0" * 18]))
def test_a_file_that_is_cut_off_is_refused_whatever_stands_behind(share, rest):
    with pytest.raises(Damaged):
        read_archive(io.BytesIO(GOOD[: int(share * len(GOOD))] + rest))


def test_no_length_of_the_checksum_is_a_flip_away_from_none():
    assert archive.SEAL & (archive.SEAL - 1) != 0
    assert GOOD[-archive.SEAL - 2 : -archive.SEAL] == archive.SEAL.to_bytes(2, "little")


def test_what_is_packed_or_said_twice_is_refused():
    """A small file that fills the memory: deflated zeros, and entries that share the same bytes."""
    with zipfile.ZipFile(packed := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive_file:
        archive_file.writestr("archive/data/0", bytes(10**6))
    with pytest.raises(Damaged, match="packed"):
        read_archive(packed)
    with zipfile.ZipFile(shared := io.BytesIO(), "w") as archive_file:
        archive_file.writestr("archive/data/0", bytes(10**4))
        entry = archive_file.infolist()[0]
        for _ in range(20):
            archive_file.filelist.append(entry)
        archive_file._didModify = True
    with pytest.raises(Damaged, match="packed"):
        read_archive(shared)
