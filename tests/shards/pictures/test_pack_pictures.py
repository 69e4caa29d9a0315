"""Pictures with classes become a dataset like any other; what cannot is named, and only that is left out."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import call
from picture_files import encoded, pixels, write_class_folders
from shards.access import Dataset
from shards.images import fitted
from shards.pictures.cifar import SIDE
from shards.reader import View, read_views
from shards.schema import open_dataset, split_of
from toys import digests

ORIENTED = 0x0112


def pack(source: Path, out: Path, *options):
    return call("pack", "pictures", source, out, "--workers", "1", "--objects-per-shard", "5", *options)


def views_of(folder: Path) -> dict[str, View]:
    index = open_dataset(folder)
    return {
        f"{view.metadata.synset}/{view.metadata.object}": view
        for split in index.splits
        if index.splits[split].views
        for view in read_views(folder, index, split)
    }


def failures_of(out: Path) -> dict[str, str]:
    lines = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    return {f"{line['synset']}/{line['object']}": line["reason"] for line in lines}


@pytest.mark.processes
def test_jpegs_of_any_size_stay_as_they_are_and_are_read_as_squares(tmp_path: Path):
    source, out = write_class_folders(tmp_path / "in"), tmp_path / "out"
    result = pack(source, out, "--crop", "28")
    assert result.code == 0, result.error
    index, views = open_dataset(out), views_of(out)
    assert (index.variant, index.latents, index.image_size, index.views_per_object) == ("pictures", (), 28, 1)
    assert [(item.label, item.name) for item in index.classes] == [(0, "cat"), (1, "dog")]
    assert len(views) == 12
    for name, view in views.items():
        data = (source / f"{name}.jpg").read_bytes()
        assert view.jpeg == data
        raw = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert np.array_equal(view.picture(), raw)
        assert np.array_equal(view.pixels(), fitted(raw, 32, 28))
        assert view.metadata.label == ["cat", "dog"].index(view.metadata.synset)
    for split in ("train", "val"):
        assert all(
            split_of(view.metadata.synset, view.metadata.object) == split
            for view in read_views(out, index, split)
        )
    assert call("verify", out, "--workers", "1").code == 0
    train = np.concatenate([view.pixels() for view in read_views(out, index, "train")]) / 255
    np.testing.assert_allclose(index.channel_mean, train.mean(axis=(0, 1)), atol=1e-5)
    for command in ("show", "stats"):
        shown = call(command, out, *(["--out", tmp_path / "sheet.png"] if command == "show" else []))
        assert shown.code == 0, shown.error


def test_a_fitted_picture_is_scaled_by_its_shorter_side_and_cut_in_the_middle():
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    assert (fitted(wide, 20, 20) == 255).all()
    assert fitted(wide, 40, 20).shape == (20, 20, 3) and (fitted(wide, 40, 20) == 255).all()


def test_squares_of_one_size_are_read_as_they_are(tmp_path: Path):
    out = tmp_path / "out"
    assert pack(write_class_folders(tmp_path / "in", size=(32, 32)), out).code == 0
    assert open_dataset(out).image_size == 32
    assert all(
        view.metadata.fit is None and view.pixels().shape == (32, 32, 3) for view in views_of(out).values()
    )
    assert Dataset(out, "train")[0].latents.shape == (0,)


def test_size_stores_squares(tmp_path: Path):
    source, out = write_class_folders(tmp_path / "in"), tmp_path / "out"
    assert pack(source, out, "--size", "16").code == 0
    for name, view in views_of(out).items():
        raw = np.asarray(Image.open(source / f"{name}.jpg"))
        assert np.abs(view.pixels().astype(int) - fitted(raw, 16, 16)).mean() < 4
    assert pack(source, tmp_path / "other", "--size", "16", "--crop", "8").code == 2


@pytest.mark.processes
def test_train_and_val_folders_are_the_splits_and_one_name_may_be_in_both(tmp_path: Path):
    for number, split in enumerate(("train", "val")):
        write_class_folders(tmp_path / "in" / split, per_class=2 + number)
    (tmp_path / "in" / "devkit").mkdir()
    assert pack(tmp_path / "in", tmp_path / "out").code == 0
    index = open_dataset(tmp_path / "out")
    assert {name: split.objects for name, split in index.splits.items()} == {"train": 4, "val": 6}
    assert call("verify", tmp_path / "out", "--workers", "1").code == 0


def test_a_stopped_pack_goes_on_and_added_pictures_alone_are_packed(tmp_path: Path):
    source, out = write_class_folders(tmp_path / "in", size=(32, 32)), tmp_path / "out"
    pack(source, out)
    before = digests(out)
    assert "nothing was missing" in pack(source, out).out and digests(out) == before
    (source / "dog" / "p9.jpg").write_bytes(encoded(pixels(99, 32, 32)))
    assert "holds a dataset of other objects" in pack(source, out).error
    assert pack(source, out, "--add").code == 0
    assert len(views_of(out)) == 13
    shard = next(out.glob("train-*.tar"))
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(bytes(data))
    assert pack(source, out, "--add", "--repair").code == 0
    fresh = tmp_path / "fresh"
    pack(source, fresh)
    tars = {name: digest for name, digest in digests(fresh).items() if name.endswith(".tar")}
    assert tars and tars == {name: digest for name, digest in digests(out).items() if name in tars}


def turned(image: np.ndarray) -> bytes:
    exif = Image.Exif()
    exif[ORIENTED] = 6
    return encoded(image, exif=exif)


STORED = {
    "gray.jpg": (lambda: encoded(Image.fromarray(pixels()).convert("L")), "one channel, which is all three"),
    "gray.png": (
        lambda: encoded(Image.fromarray(pixels()).convert("L"), "PNG"),
        "one channel, which is all three",
    ),
    "opaque.png": (lambda: encoded(Image.fromarray(pixels()).convert("RGBA"), "PNG"), None),
    "palette.png": (lambda: encoded(Image.fromarray(pixels()).convert("P"), "PNG"), None),
    "photo.webp": (lambda: encoded(pixels(), "WEBP", lossless=True), None),
    "print.jpg": (lambda: encoded(Image.fromarray(pixels()).convert("CMYK")), "converted from CMYK"),
    "turned.jpg": (lambda: turned(pixels()), "turned upright as its EXIF says"),
    "misnamed.JPEG": (lambda: encoded(pixels(), "PNG"), None),
}
REFUSED = {
    "broken.jpg": (lambda: b"no picture", "it is no picture that can be read"),
    "empty.png": (lambda: b"", "it is no picture that can be read"),
    "cut.jpg": (lambda: encoded(pixels())[:-100], "does not decode"),
    "cut.png": (lambda: encoded(pixels(), "PNG")[:300], "does not decode"),
    "clear.png": (
        lambda: encoded(Image.fromarray(np.dstack([pixels(), pixels()[..., 0]])), "PNG"),
        "it has transparent pixels, which have no color; put it on a background",
    ),
    "deep.png": (
        lambda: encoded(Image.fromarray(pixels()[..., 0].astype(np.uint16) * 256), "PNG"),
        "it has more than 8 bits a channel, which a JPEG cannot hold; convert it to 8",
    ),
    "dot.png": (
        lambda: encoded(pixels(0, 1, 1), "PNG"),
        "it has 1 x 1 px, and at least 8 a side are needed",
    ),
    "wide.png": (
        lambda: encoded(Image.new("L", (30_000, 10)), "PNG"),
        "it has 30000 x 10 px, and at most 8192 a side are read; make it smaller",
    ),
}


@pytest.mark.processes
def test_pictures_of_every_kind_are_stored_or_named_and_cost_themselves_alone(tmp_path: Path):
    source, out = write_class_folders(tmp_path / "in"), tmp_path / "out"
    for name, (make, _) in {**STORED, **REFUSED}.items():
        (source / "cat" / name).write_bytes(make())
    result = pack(source, out, "--crop", "28")
    assert result.code == 0, result.error
    views, failures = views_of(out), failures_of(out)
    assert len(views) == 12 + len(STORED)
    assert len(failures) == len(REFUSED)
    for name, (_, reason) in REFUSED.items():
        (found,) = [
            text for key, text in failures.items() if key in (f"cat/{name}", f"cat/{Path(name).stem}")
        ]
        assert reason in found
    for name, (_, note) in STORED.items():
        (view,) = [view for key, view in views.items() if key in (f"cat/{name}", f"cat/{Path(name).stem}")]
        assert view.metadata.notes == ((note,) if note else ())
        expected = np.rot90(pixels(), -1) if "turned" in name else pixels()
        assert view.picture().shape == expected.shape
        if "gray" not in name and "palette" not in name:
            assert np.abs(view.picture().astype(int) - expected).mean() < 6
    assert call("verify", out, "--workers", "1").code == 0


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "holds no pictures in folders of classes"),
        (["a.jpg"], "holds no pictures in folders of classes"),
        (["cat/a.jpg"], "holds one picture; nothing can be learned from less than two"),
        (["cat/a.txt", "dog/b.txt"], "holds no pictures in folders of classes"),
        (["data_batch_1", "batches.meta"], "download the binary version"),
    ],
)
def test_a_folder_without_pictures_in_classes_is_one_sentence(tmp_path: Path, files: list[str], words: str):
    source = tmp_path / "in"
    source.mkdir()
    for name in files:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(encoded(pixels()))
    result = pack(source, tmp_path / "out")
    assert result.code == 2 and words in result.error
    assert not (tmp_path / "out").exists()
    assert pack(tmp_path / "nowhere", tmp_path / "out").code == 2


def cifar_records(labels: list[tuple[int, ...]], seed: int) -> tuple[bytes, list[np.ndarray]]:
    images = [pixels(seed + number, SIDE, SIDE) for number in range(len(labels))]
    records = [
        bytes(label) + image.transpose(2, 0, 1).tobytes() for label, image in zip(labels, images, strict=True)
    ]
    return b"".join(records), images


def cifar_files(classes: int) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """The files of a small CIFAR, and its pictures by class and name."""
    files, expected = {}, {}
    if classes == 10:
        files["batches.meta.txt"] = b"airplane\nautomobile\nbird\n\n"
        names = ["airplane", "automobile", "bird"]
        batches = {"data_batch_1": [(0,), (2,), (1,)], "data_batch_2": [(1,)], "test_batch": [(2,), (0,)]}
    else:
        files["fine_label_names.txt"] = b"apple\naquarium_fish\n"
        names = ["apple", "aquarium_fish"]
        batches = {"train": [(7, 0), (4, 1)], "test": [(4, 1)]}
    for seed, (batch, labels) in enumerate(batches.items()):
        files[f"{batch}.bin"], images = cifar_records(labels, 10 * seed)
        for number, (label, image) in enumerate(zip(labels, images, strict=True)):
            expected[f"{names[label[-1]]}/{batch}-{number:05d}"] = image
    return files, expected


def write_archive(path: Path, files: dict[str, bytes], folder: str) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@pytest.mark.processes
@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("is_archive", [True, False])
def test_cifar_in_its_binary_version_keeps_pixels_classes_and_splits(
    tmp_path: Path, classes: int, is_archive: bool
):
    files, expected = cifar_files(classes)
    source = tmp_path / ("cifar.tar.gz" if is_archive else "cifar")
    if is_archive:
        write_archive(source, files, "cifar-10-batches-bin")
    else:
        source.mkdir()
        for name, data in files.items():
            (source / name).write_bytes(data)
    assert pack(source, tmp_path / "out").code == 0
    views = views_of(tmp_path / "out")
    assert set(views) == set(expected)
    for name, image in expected.items():
        assert np.abs(views[name].pixels().astype(int) - image).max() <= 4
    index = open_dataset(tmp_path / "out")
    assert index.splits["val"].objects == sum("test" in name for name in expected)
    assert call("verify", tmp_path / "out", "--workers", "1").code == 0


def test_cifar_s_pickles_and_a_cut_file_are_one_sentence(tmp_path: Path):
    path = tmp_path / "cifar-10-python.tar.gz"
    write_archive(path, {"data_batch_1": b"", "batches.meta": b""}, "cifar-10-batches-py")
    assert "pickles could run code" in pack(path, tmp_path / "out").error
    files, _ = cifar_files(10)
    write_archive(path, files | {"data_batch_1.bin": files["data_batch_1.bin"][:-1]}, "x")
    assert "data_batch_1.bin" in pack(path, tmp_path / "out").error
    path.write_bytes(gzip.compress(b"no tar"))
    assert "is no archive that can be read" in pack(path, tmp_path / "out").error


def write_shard(path: Path, samples: list[dict[str, bytes]]) -> None:
    """Writes samples, each with its members by their extensions, as a WebDataset shard."""
    with tarfile.open(path, "w") as archive:
        for number, members in enumerate(samples):
            for extension, data in members.items():
                info = tarfile.TarInfo(f"{number:04d}.{extension}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


def test_webdataset_shards_give_pictures_labels_and_splits_by_their_names(tmp_path: Path):
    source = tmp_path / "in"
    source.mkdir()
    kinds = (("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP"))
    samples = [
        {suffix: encoded(pixels(number, 32, 32), kind), "cls": b"%d" % (10 * (number % 2))}
        for number, (suffix, kind) in enumerate(2 * kinds)
    ]
    write_shard(source / "set-train-000.tar", samples)
    write_shard(source / "set-val-000.tar", samples[:3])
    assert pack(source, tmp_path / "out").code == 0
    index, views = open_dataset(tmp_path / "out"), views_of(tmp_path / "out")
    assert {name: split.objects for name, split in index.splits.items()} == {"train": 6, "val": 3}
    assert [item.synset for item in index.classes] == ["00", "10"]
    assert views["00/set-train-000/0000"].jpeg == encoded(pixels(0, 32, 32))
    shard = source / "set-val-000.tar"
    shard.write_bytes(shard.read_bytes()[:700])
    assert "is damaged" in pack(source, tmp_path / "other").error


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (
            {"jpg": b"not read", "cls": b"cat"},
            "sample 0000: its .cls is b'cat'; it has to be a number from 0 on",
        ),
        ({"jpg": b"not read", "cls": b"-1"}, "it has to be a number from 0 on"),
        ({"jpg": b"not read"}, "holds no sample with a picture"),
        ({"json": b"{}", "cls": b"1"}, "holds no sample with a picture"),
    ],
)
def test_a_webdataset_shard_without_labeled_pictures_is_one_sentence(
    tmp_path: Path, sample: dict[str, bytes], words: str
):
    write_shard(tmp_path / "set.tar", [sample])
    assert words in pack(tmp_path / "set.tar", tmp_path / "out").error


@pytest.mark.processes
def test_one_view_of_each_object_of_a_dataset_becomes_pictures(toy_copy: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert "run `iebench index`" in pack(toy_copy, out, "--from-views").error
    assert call("index", toy_copy, "--workers", "1").code == 0
    assert pack(toy_copy, out, "--from-views", "--view", "2").code == 0
    index, source = open_dataset(out), open_dataset(toy_copy)
    assert index.classes == source.classes and index.image_size == source.image_size
    for split in ("train", "val"):
        expected = {
            (view.metadata.synset, view.metadata.object): view.jpeg
            for view in read_views(toy_copy, source, split)
            if view.metadata.view == 2
        }
        assert {
            (view.metadata.synset, view.metadata.object): view.jpeg for view in read_views(out, index, split)
        } == expected
    assert "and no view 4" in pack(toy_copy, tmp_path / "other", "--from-views", "--view", "4").error
