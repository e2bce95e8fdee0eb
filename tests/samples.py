"""A small file or folder for each data set that a user brings by path."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (40, 8, 8), dtype=np.uint8)
LABELS = np.arange(40) % 2


def write(option: str, folder: Path) -> list[str]:
    """40 grey pictures of 8x8 pixels and two classes (a csv: 40 rows of 3 columns); the overrides that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    return [f"dataset={option}", *(f"dataset.{word}" for word in WRITERS[option](folder))]


def write_npz(folder: Path) -> list[str]:
    np.savez(folder / "rows.npz", x=PICTURES, y=LABELS)
    return [f"path={folder / 'rows.npz'}"]


def write_npy(folder: Path) -> list[str]:
    np.save(folder / "x.npy", PICTURES)
    np.save(folder / "y.npy", LABELS)
    return [f"path={folder / 'x.npy'}", f"labels={folder / 'y.npy'}"]


def write_csv(folder: Path) -> list[str]:
    lines = [f"{RNG.normal():.3f},{'abc'[i % 3]},{RNG.normal():.3f},{LABELS[i]}" for i in range(40)]
    (folder / "rows.csv").write_text("\n".join(["height,kind,width,group", *lines]))
    return [f"path={folder / 'rows.csv'}", "label=group"]


def write_idx(folder: Path) -> list[str]:
    for name, array in (("train-images-idx3-ubyte", PICTURES), ("train-labels-idx1-ubyte", LABELS.astype(np.uint8))):
        header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        (folder / name).write_bytes(header + array.tobytes())
    return [f"path={folder}"]


def write_pictures(folder: Path) -> list[str]:
    for i, (picture, label) in enumerate(zip(PICTURES, LABELS, strict=True)):
        (folder / "ab"[label]).mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / "ab"[label] / f"{i}.png")
    return [f"path={folder}"]


def write_parquet(folder: Path) -> list[str]:
    import pyarrow
    import pyarrow.parquet

    flat = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(PICTURES.reshape(-1)), 64)
    table = pyarrow.table({"image": flat, "label": pyarrow.array(LABELS)})
    pyarrow.parquet.write_table(table, folder / "rows.parquet")
    return [f"path={folder / 'rows.parquet'}"]


def write_shards(folder: Path) -> list[str]:
    import webdataset

    for number, rows in enumerate(np.array_split(np.arange(40), 3)):
        with webdataset.TarWriter(str(folder / f"{number}.tar")) as tar:
            for row in rows:
                Image.fromarray(PICTURES[row]).save(buffer := io.BytesIO(), "PNG")
                tar.write({"__key__": f"{row:04d}", "png": buffer.getvalue(), "cls": str(LABELS[row]).encode()})
    return [f"path={folder}"]


def write_audio(folder: Path) -> list[str]:
    """Tones, high and low, of a fifth of a second."""
    import soundfile

    time = np.arange(1600) / 8000
    for row, label in enumerate(LABELS):
        (folder / "ab"[label]).mkdir(exist_ok=True)
        tone = 0.5 * np.sin(2 * np.pi * (400 + 1000 * label + 20 * row) * time)
        soundfile.write(folder / "ab"[label] / f"{row:02d}.wav", tone, 8000)
    return [f"path={folder}", "window=256", "hop=128", "bands=16", "length=12"]


def write_video(folder: Path) -> list[str]:
    """A square that moves to the right or down."""
    for row, label in enumerate(LABELS):
        (folder / "ab"[label]).mkdir(exist_ok=True)
        frames = np.zeros((6, 16, 16, 3), np.uint8)
        for step in range(6):
            down, right = (2 * step, row % 12) if label else (row % 12, 2 * step)
            frames[step, down : down + 4, right : right + 4] = 40 + 5 * row
        encode_film(folder / "ab"[label] / f"{row:02d}.mkv", frames)
    return [f"path={folder}", "length=4"]


def encode_film(file: Path, frames: np.ndarray, codec: str = "ffv1", kind: str = "bgr0") -> None:
    """Frames (T, H, W, 3) as video; without loss unless another codec is named."""
    import av

    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], kind
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_sparse(folder: Path) -> list[str]:
    import scipy.sparse

    scipy.sparse.save_npz(folder / "rows.npz", scipy.sparse.csr_array(PICTURES.reshape(40, -1) // 64))
    np.save(folder / "y.npy", LABELS)
    return [f"path={folder / 'rows.npz'}", f"labels={folder / 'y.npy'}"]


def write_dsprites(folder: Path) -> list[str]:
    classes = np.arange(40)[:, None] % np.array([1, 3, 6, 4, 4, 4])
    np.savez(folder / "rows.npz", imgs=(PICTURES > 127).astype(np.uint8), latents_classes=classes)
    return [f"path={folder / 'rows.npz'}"]


def write_mpi3d(folder: Path) -> list[str]:
    """As many as the smallest of its files has, of one pixel each."""
    pixels = RNG.integers(0, 256, (4 * 4 * 2 * 3 * 3 * 40 * 40, 1, 1, 3), dtype=np.uint8)
    np.savez(folder / "rows.npz", images=pixels)
    return [f"path={folder / 'rows.npz'}"]


def write_shapes3d(folder: Path) -> list[str]:
    h5py = pytest.importorskip("h5py", reason="needs h5py: pip install aeexp[factors]")
    with h5py.File(folder / "rows.h5", "w") as file:
        file["images"] = np.repeat(PICTURES[..., None], 3, 3)
        file["labels"] = np.arange(40)[:, None] % np.array([4, 4, 4, 4, 4, 2]) / 10
    return [f"path={folder / 'rows.h5'}"]


def write_cars3d(folder: Path) -> list[str]:
    from scipy.io import savemat

    for car in range(5):
        savemat(folder / f"car_{car:03d}.mat", {"im": RNG.integers(0, 256, (16, 16, 3, 4, 2), dtype=np.uint8)})
    return [f"path={folder}"]


def write_small_norb(folder: Path) -> list[str]:
    arrays = {"dat": np.repeat(PICTURES[:, None], 2, 1), "cat": (np.arange(40) % 5).astype("<i4"),
              "info": (np.arange(40)[:, None] % np.array([2, 3, 4, 5])).astype("<i4")}  # fmt: skip
    for part, array in arrays.items():
        magic = 0x1E3D4C55 if part == "dat" else 0x1E3D4C54
        head = np.array([magic, array.ndim, *array.shape, *[1] * (3 - array.ndim)], "<u4")
        (folder / f"rows-{part}.mat").write_bytes(head.tobytes() + array.tobytes())
    return [f"path={folder / 'rows-dat.mat'}"]


def write_text(folder: Path) -> list[str]:
    (folder / "rows.txt").write_text("".join(f"{'ab'[label]}\trow {number}\n" for number, label in enumerate(LABELS)))
    return [f"path={folder / 'rows.txt'}"]


WRITERS = {
    "npz": write_npz, "npy": write_npy, "csv": write_csv, "idx": write_idx, "folder": write_pictures,
    "huggingface": write_parquet, "webdataset": write_shards, "audio": write_audio, "video": write_video,
    "sparse": write_sparse, "dsprites": write_dsprites, "mpi3d": write_mpi3d, "shapes3d": write_shapes3d,
    "cars3d": write_cars3d, "small_norb": write_small_norb, "text": write_text,
}  # fmt: skip
