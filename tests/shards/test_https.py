"""Addresses with https: what is not trusted is not read, and no redirect leads out of https."""

import datetime
import ipaddress
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from processes import PATIENCE
from unreliable_server import Fault, serving

pytestmark = pytest.mark.timeout(120)

OPEN = "import sys; from shards.mirror import dataset_folder; dataset_folder(sys.argv[1])"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of loopback, signed by itself, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "server.pem"
    encoding = serialization.Encoding.PEM
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(signed.public_bytes(encoding) + secret)
    return path


@pytest.fixture
def server(toy_dataset: Path, certificate: Path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(toy_dataset, context=context) as state:
        yield state


def opened(address: str, cache: Path, trusted: Path | None) -> subprocess.CompletedProcess:
    """Opens a dataset in a process of its own, as certificates are loaded once for each."""
    environment = {**os.environ, "IEBENCH_CACHE": str(cache)}
    if trusted:
        environment["SSL_CERT_FILE"] = str(trusted)
    return subprocess.run(
        [sys.executable, "-c", OPEN, address],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.processes
def test_a_certificate_decides_whether_a_dataset_is_read(server, certificate, tmp_path):
    stranger = opened(server.address, tmp_path, None)
    assert "the server's certificate is not trusted" in stranger.stderr
    assert not server.requests
    assert opened(server.address, tmp_path, certificate).returncode == 0


@pytest.mark.processes
def test_what_a_redirect_from_https_to_http_leads_to_is_not_read(server, certificate, tmp_path, toy_dataset):
    with serving(toy_dataset) as plain:
        server.always["dataset.json"] = Fault(location=f"{plain.address}/dataset.json")
        result = opened(server.address, tmp_path, certificate)
    assert "redirects to an address without https, which is not read" in result.stderr
    assert not list(tmp_path.iterdir())
