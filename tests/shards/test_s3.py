"""Datasets in an S3 bucket, of a server on loopback."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from commands import run
from cutting_proxy import cutting_proxy
from shards.errors import IebenchError
from shards.mirror import dataset_folder, local_shard
from shards.reader import read_views
from shards.schema import INDEX_NAME, open_dataset

BUCKET = "published"
ADDRESS = f"s3://{BUCKET}/sets/views"


@pytest.fixture(scope="module")
def endpoint():
    pytest.importorskip("s3fs")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, toy_dataset: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    """A client of a bucket that holds the toy dataset; the environment leads to it."""
    import boto3

    from shards.remote import s3

    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
    }.items():
        monkeypatch.setenv(name, value)
    s3._filesystem.cache_clear()
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for path in toy_dataset.iterdir():
        client.put_object(Bucket=BUCKET, Key=f"sets/views/{path.name}", Body=path.read_bytes())
    return client


def test_a_dataset_in_a_bucket_has_the_views_of_the_dataset(bucket, toy_dataset, monkeypatch):
    from shards.remote import download

    monkeypatch.setattr(download, "CHUNK", 10_000)  # several ranges a shard
    folder = dataset_folder(ADDRESS)
    index = open_dataset(folder)
    for split in index.splits:
        ours, theirs = (
            [(view.metadata, view.jpeg) for view in read_views(place, index, split)]
            for place in (folder, toy_dataset)
        )
        assert ours == theirs != []


def test_what_was_fetched_of_an_object_is_taken_up(bucket, toy_dataset):
    folder = dataset_folder(ADDRESS)
    shard = open_dataset(folder).split("val").shards[0]
    (folder / f".{shard.name}.part").write_bytes((toy_dataset / shard.name).read_bytes()[:1_000])
    assert local_shard(folder, shard).read_bytes() == (toy_dataset / shard.name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("cuts", [1, 20])
def test_a_connection_that_drops_again_and_again_yields_the_whole_object(
    bucket, endpoint, toy_dataset, monkeypatch, cuts
):
    from shards.remote import download, s3

    server = urlsplit(endpoint)
    folder = dataset_folder(ADDRESS)
    shard = open_dataset(folder).split("val").shards[0]
    with cutting_proxy((server.hostname, server.port), after=shard.bytes // 2) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        monkeypatch.setattr(download, "ATTEMPTS", 30)
        s3._filesystem.cache_clear()
        proxy.cuts = cuts
        assert local_shard(folder, shard).read_bytes() == (toy_dataset / shard.name).read_bytes()
        assert proxy.cuts <= 0
    s3._filesystem.cache_clear()


def test_an_object_that_is_cut_short_altered_or_gone_is_one_sentence(bucket, toy_dataset):
    folder = dataset_folder(ADDRESS)
    shard = open_dataset(folder).split("val").shards[0]
    content = (toy_dataset / shard.name).read_bytes()
    for body, message in (
        (content[:1_000], "it ended after 1,000 of"),
        (content[:-1] + b"x", "another SHA-256"),
    ):
        bucket.put_object(Bucket=BUCKET, Key=f"sets/views/{shard.name}", Body=body)
        with pytest.raises(IebenchError, match=message):
            local_shard(folder, shard)
    bucket.delete_object(Bucket=BUCKET, Key=f"sets/views/{shard.name}")
    with pytest.raises(IebenchError, match=f"{shard.name} is not there; check the address"):
        local_shard(folder, shard)
    assert not (folder / shard.name).exists()


def test_no_bucket_and_no_dataset_are_one_sentence(bucket):
    for address in ("s3://nowhere-at-all/views", f"s3://{BUCKET}/other"):
        with pytest.raises(IebenchError, match=f"{address}/{INDEX_NAME} is not there"):
            dataset_folder(address)


@pytest.mark.processes
def test_verify_takes_an_address_in_a_bucket(bucket):
    result = run("verify", ADDRESS, "--workers", "1")
    assert result.code == 0, result.err
    assert result.out == f"{ADDRESS}: 84 views, all as the index and the dataset format say\n"


def test_without_keys_the_sentence_says_what_to_set(bucket, monkeypatch, tmp_path):
    from shards.remote import s3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3._filesystem.cache_clear()
    with pytest.raises(IebenchError, match="FSSPEC_S3_ANON=true"):
        dataset_folder(ADDRESS)
    s3._filesystem.cache_clear()
