"""The published archive becomes the dataset that its folder becomes, without ever being unpacked."""

import io
import json
import os
import random
import tarfile

import pytest

from commands import call
from folders import OBJECTS, write_folder
from shards.errors import IebenchError
from shards.pack_record import RECORD_NAME
from shards.published import archive
from shards.published.archive import SPOOL_NAME, open_archive
from toys import digests

PACK = ("--objects-per-shard", "3", "--workers", "1")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("published") / "3DIEBench")
    (folder / "LICENSE").write_text("Attribution-NonCommercial 4.0 International\n")
    return folder


@pytest.fixture(scope="module")
def packed(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed") / "out"
    assert call("pack", source, out, *PACK).code == 0
    return dataset_in(out)


def dataset_in(out):
    """The files but for the record of what they were packed from."""
    return {name: digest for name, digest in digests(out).items() if name != RECORD_NAME}


def members(source, shuffled=False):
    files = sorted(path for path in source.rglob("*") if path.is_file())
    if shuffled:
        random.Random(0).shuffle(files)
    return files


def write_archive(path, source, mode="w:gz", shuffled=False, prefix="3DIEBench", format=tarfile.GNU_FORMAT):
    with tarfile.open(path, mode, format=format) as tar:
        tar.add(source, prefix or ".", recursive=False)
        for file in members(source, shuffled):
            tar.add(file, f"{prefix}/{file.relative_to(source)}".lstrip("/"))
    return path


def add(tar, name, data=b"", **fields):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for field, value in fields.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(data))


def test_a_process_is_sent_the_offsets_of_its_shard_alone(source, tmp_path, monkeypatch):
    jobs = []

    def run_here(function, work, workers):
        jobs.extend(work)
        yield from map(function, work)

    monkeypatch.setattr("shards.pack_run.run_parallel", run_here)
    assert call("pack", write_archive(tmp_path / "a.tar", source, "w:"), tmp_path / "out", *PACK).code == 0
    assert len(jobs) > 1
    for job in jobs:
        assert job.reader.source.names() == sorted(item.name for item in job.shard.objects)


def failures(out):
    return [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("shuffled", [False, True], ids=["in order", "apart"])
@pytest.mark.parametrize(
    ("name", "mode", "prefix"),
    [
        ("a.tar", "w:", "3DIEBench"),
        ("a.tar.gz", "w:gz", "a/b/3DIEBench"),
        ("a.tar.bz2", "w:bz2", ""),
        ("a.tar.xz", "w:xz", "/absolute/" + "long" * 40),
    ],
)
def test_an_archive_gives_the_bytes_that_its_folder_gives(
    source, packed, tmp_path, shuffled, name, mode, prefix
):
    path = write_archive(tmp_path / name, source, mode, shuffled, prefix)
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        write_archive(path, source, mode, shuffled, prefix, format)
        out = tmp_path / f"out{format}"
        result = call("pack", path, out, *PACK)
        assert result.code == 0, result.err
        assert dataset_in(out) == packed
        assert sorted(item.name for item in tmp_path.iterdir() if item.is_dir()) == sorted(
            item.name for item in tmp_path.glob("out*")
        )
        assert not (out / ".pack").exists()


@pytest.mark.processes
def test_two_workers_give_the_bytes_of_one(source, packed, tmp_path):
    path = write_archive(tmp_path / "a.tar.gz", source)
    assert call("pack", path, tmp_path / "out", "--objects-per-shard", "3", "--workers", "2").code == 0
    assert dataset_in(tmp_path / "out") == packed


@pytest.fixture
def opened(monkeypatch):
    """The archives that were opened."""
    from shards.published import pack

    paths = []
    open_it = pack.open_archive
    monkeypatch.setattr(
        pack, "open_archive", lambda path, *others: paths.append(path) or open_it(path, *others)
    )
    return paths


def test_a_finished_pack_does_not_read_the_archive_again(source, tmp_path, opened):
    path, out = write_archive(tmp_path / "a.tar.gz", source), tmp_path / "out"
    assert call("pack", path, out, *PACK).code == 0
    assert opened == [path]
    before = digests(out)
    again = call("pack", path, out, *PACK)
    assert again.code == 0 and "nothing was missing; nothing was packed" in again.out
    assert opened == [path] and digests(out) == before


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda path, out: next(out.glob("val*.tar")).unlink(), ()),
        (lambda path, out: (out / "latents.parquet").unlink(), ()),
        (lambda path, out: (out / "README.md").unlink(), ()),
        (lambda path, out: (out / "failures.jsonl").unlink(), ()),
        (lambda path, out: (out / RECORD_NAME).write_text("{}"), ()),
        (lambda path, out: os.utime(path, ns=(0, 0)), ()),
        (lambda path, out: None, ("--repair",)),
    ],
    ids=["shard", "table", "card", "failures", "record", "archive", "repair"],
)
def test_a_finished_pack_reads_the_archive_where_anything_is_not_as_it_was(
    source, packed, tmp_path, opened, change, options
):
    path, out = write_archive(tmp_path / "a.tar", source, "w:"), tmp_path / "out"
    assert call("pack", path, out, *PACK).code == 0
    change(path, out)
    assert call("pack", path, out, *PACK, *options).code == 0
    assert opened == [path] * 2 and dataset_in(out) == packed


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_what_was_decompressed_before_an_interruption_is_taken_up(
    source, packed, tmp_path, monkeypatch, share
):
    monkeypatch.setattr(archive, "_CHUNK", 1000)
    path = write_archive(tmp_path / "a.tar.gz", source)
    out = tmp_path / "out"

    def interrupt(done, total):
        if done >= share * total:
            raise KeyboardInterrupt

    from shards.published.pack import open_source

    with pytest.raises(KeyboardInterrupt):
        open_source(path, out, interrupt)
    spool = out / ".pack" / SPOOL_NAME
    before = spool.stat()
    assert before.st_size > 0
    open_source(path, out)
    assert spool.stat().st_ino == before.st_ino
    assert call("pack", path, out, *PACK).code == 0
    assert dataset_in(out) == packed


def test_another_archive_is_not_added_to_what_was_decompressed(source, packed, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_CHUNK", 1000)
    other = write_folder(tmp_path / "other", ["02876657/other"])
    path = write_archive(tmp_path / "a.tar.gz", other)
    assert open_archive(path, tmp_path).names() == [("02876657", "other")]
    write_archive(path, source)
    os.utime(path, ns=(0, 0))
    assert len(open_archive(path, tmp_path).names()) == len(OBJECTS)


@pytest.mark.processes
@pytest.mark.parametrize("mode", ["w:", "w:gz"])
def test_links_duplicates_and_hidden_names_fail_their_objects_only(source, tmp_path, mode):
    path = tmp_path / "a.tar"
    with tarfile.open(path, mode) as tar:
        for file in members(source):
            name = str(file.relative_to(source))
            if name == "02876657/o0/image_1.jpg":
                add(tar, name, type=tarfile.SYMTYPE, linkname="/etc/passwd")
            elif name == "02876657/o1/image_0.jpg":
                add(tar, name, type=tarfile.LNKTYPE, linkname="02876657/o2/image_0.jpg")
            elif name == "02876657/o3/latent_2.npy":
                add(tar, name, type=tarfile.FIFOTYPE)
            else:
                tar.add(file, name)
        tar.add(source / "03001627/o0/image_0.jpg", "copy/03001627/o0/image_0.jpg")
        for name in (
            "../../02876657/x/image_0.jpg",
            "02876657/.hidden/image_0.jpg",
            "/image_0.jpg",
            "a/image_0.jpg",
        ):
            add(tar, name, b"x")
        add(tar, "02876657/../image_0.jpg", b"x")
        add(tar, "device", type=tarfile.CHRTYPE)
    out = tmp_path / "out"
    result = call("pack", path, out, *PACK)
    assert result.code == 0, result.err
    assert {(item["object"], item["reason"]) for item in failures(out)} == {
        ("o0", "image_1.jpg is no file"),
        ("o1", "image_0.jpg is no file"),
        ("o3", "latent_2.npy is no file"),
        ("o0", "image_0.jpg is in the archive 2 times"),
    }
    assert call("verify", out, "--workers", "1").code == 0


@pytest.mark.parametrize("mode", ["w:", "w:gz", "w:xz"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_an_archive_that_is_cut_short_is_one_sentence_and_nothing_is_packed(source, tmp_path, mode, share):
    path = write_archive(tmp_path / "a.tar", source, mode)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    result = call("pack", path, tmp_path / "out", *PACK)
    assert result.code == 1
    assert "download it again" in result.error
    assert not list((tmp_path / "out").glob("*.tar"))


@pytest.mark.parametrize("kind", ["text", "gzip of text", "empty", "zip", "gzip of nothing", "zeros"])
def test_what_is_no_archive_is_refused(tmp_path, kind):
    import gzip

    content = {
        "text": b"hello" * 500,
        "gzip of text": gzip.compress(b"hello" * 500),
        "empty": b"",
        "zip": b"PK\x03\x04" + bytes(600),
        "gzip of nothing": gzip.compress(b""),
        "zeros": bytes(10240),
    }[kind]
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    result = call("pack", path, tmp_path / "out")
    assert result.code in (1, 2) and str(path) in result.error
    assert not list((tmp_path / "out").glob("*.tar"))


def test_an_archive_without_views_says_what_was_expected(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "3DIEBench/readme.txt", b"x")
    result = call("pack", tmp_path / "a.tar", tmp_path / "out")
    assert result.code == 2 and "holds no object" in result.error


def test_a_bomb_is_not_decompressed(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        add(tar, "02876657/o0/image_0.jpg", bytes(1 << 26))
    result = call("pack", tmp_path / "a.tar.gz", tmp_path / "out")
    assert result.code == 2 and "more than 100 times its bytes" in result.error
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file()) < 1 << 25


def test_a_header_that_says_anything_about_sizes_is_no_traceback(source, tmp_path):
    path = write_archive(tmp_path / "a.tar", source, "w:")
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        headers = [member.offset for member in tar.getmembers()]
    draw = random.Random(3)
    for size in (b"77777777777", b"00000000009", b"-0000000001", b"\x80" + bytes(10)):
        data = bytearray(whole)
        start = draw.choice(headers)
        data[start + 124 : start + 135] = size
        data[start + 148 : start + 156] = b" " * 8
        data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
        path.write_bytes(data)
        with pytest.raises(IebenchError, match="is damaged"):
            open_archive(path, tmp_path)


def test_a_folder_that_holds_something_else_is_not_spooled_into(source, tmp_path):
    path = write_archive(tmp_path / "a.tar.gz", source)
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    result = call("pack", path, out)
    assert result.code == 2 and "holds no dataset of ours" in result.error
    assert [item.name for item in out.iterdir()] == ["mine.txt"]
