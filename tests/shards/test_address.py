"""Which addresses are taken."""

import pytest

from shards.errors import UsageError
from shards.mirror import dataset_folder
from shards.remote.address import checked_address, is_address


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://host/views", "http://host/views"),
        ("HTTPS://host:8443/a/b//", "https://host:8443/a/b"),
        ("http://[::1]:80/views", "http://[::1]:80/views"),
        ("s3://bucket/a b/views".replace(" ", "%20"), "s3://bucket/a%20b/views"),
        ("s3://bucket", "s3://bucket"),
    ],
)
def test_http_https_and_s3_are_taken_without_a_slash_at_the_end(location, expected):
    assert checked_address(location) == expected


@pytest.mark.parametrize(
    "location",
    [
        "pipe:cat /etc/hostname",
        "pipe:touch {marker}",
        "exec:touch {marker}",
        "simplecache::http://host/views",
        "filecache::s3://bucket/views",
        "zip://views.zip",
        "zip://*.tar::http://host/x.zip",
        "file:///etc",
        "local:///etc",
        "ftp://host/views",
        "ssh://host/views",
        "gs://bucket/views",
        "data:text/plain,x",
        "reference::views.json",
    ],
)
def test_commands_and_all_other_schemes_are_refused_with_what_is_taken(location, tmp_path, monkeypatch):
    monkeypatch.setenv("IEBENCH_CACHE", str(tmp_path / "cache"))
    marker = tmp_path / "marker"
    with pytest.raises(UsageError, match="http://, https://, s3:// or hf://") as raised:
        dataset_folder(location.format(marker=marker))
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "location",
    ["http:", "http://", "http:///views", "http://host:port/", "https:host/views", "http://ho st/", "s3:///key",
     "http://host/a\nb", "http://host/\x1b[31m", "http://[::1/views"],
)  # fmt: skip
def test_an_address_without_a_host_is_refused(location):
    with pytest.raises(UsageError, match="no host") as raised:
        checked_address(location)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    "location",
    ["http://user:hidden@host/views", "https://hidden@host/views", "s3://key:hidden@bucket/views",
     "https://host/views?token=hidden", "https://host/views#hidden", "hf://user?token=hidden"],
)  # fmt: skip
def test_an_address_with_a_secret_is_refused_and_the_secret_not_repeated(location, tmp_path, monkeypatch):
    monkeypatch.setenv("IEBENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError) as raised:
        dataset_folder(location)
    assert "hidden" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "location", ["data/views", "/data/views", "./a:b", "../x", "", ".", "C", "a/b:c", "1:2"]
)
def test_a_path_is_no_address(location):
    assert not is_address(location)
