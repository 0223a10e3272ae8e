"""Channels: encrypted to other machines, plain only on this one, and errors that gRPC would swallow."""

from __future__ import annotations

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fedledger.errors import BadInputError
from fedledger.gateway import EvaluateError, connect, open_channel, tls_certificate_hash


@pytest.fixture
def tls(make_client):
    server = make_client(ec.generate_private_key(ec.SECP256R1()))
    key = server.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return server.identity.credentials, key


def evaluate(client, channel):
    return connect(client.identity, client.sign, channel).get_network("c").get_contract("k").evaluate_transaction("F")


def test_a_plain_connection_on_this_machine_works(make_peer, client):
    _, port = make_peer(client, "127.0.0.1:0")
    with open_channel(f"127.0.0.1:{port}") as channel:
        assert evaluate(client, channel) == b"result"


def test_mutual_tls_with_another_name_than_the_host_works(make_peer, client, tls):
    certificate, key = tls
    credentials = grpc.ssl_server_credentials([(key, certificate)], certificate, require_client_auth=True)
    _, port = make_peer(client, "127.0.0.1:0", credentials)
    with open_channel(
        f"127.0.0.1:{port}",
        certificate,
        client_certificate=certificate,
        client_key=key,
        server_name="peer0.example.org",
    ) as channel:
        assert evaluate(client, channel) == b"result"


def test_a_server_with_an_unknown_certificate_is_refused(make_peer, client, tls, make_client):
    certificate, key = tls
    _, port = make_peer(client, "127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    other = make_client(ec.generate_private_key(ec.SECP256R1())).identity.credentials
    channel = open_channel(f"127.0.0.1:{port}", other, server_name="peer0.example.org")
    with channel, pytest.raises(EvaluateError, match="UNAVAILABLE"):
        evaluate(client, channel)


@pytest.mark.parametrize("endpoint", ["peer0.example.org:7051", "192.0.2.7:7051", "[2001:db8::1]:7051"])
def test_no_plain_connection_leaves_this_machine(endpoint):
    with pytest.raises(BadInputError) as caught:
        open_channel(endpoint)
    assert caught.value.code == "PLAINTEXT_REMOTE"


@pytest.mark.parametrize("endpoint", ["127.0.0.1:7051", "[::1]:7051", "localhost:7051", "unix:/run/peer.sock"])
def test_this_machine_needs_no_tls(endpoint):
    open_channel(endpoint).close()


@pytest.mark.parametrize(
    "endpoint", ["", "peer0", "peer0:", ":7051", "peer0:http", "peer0:70000", "https://p:1", "unix:"]
)
def test_an_address_that_is_none_is_refused(endpoint):
    with pytest.raises(BadInputError) as caught:
        open_channel(endpoint)
    assert caught.value.code == "BAD_ENDPOINT"


@pytest.mark.parametrize(
    "options",
    [
        {"tls_roots": b"no certificate"},
        {"tls_roots": b"", "client_certificate": b"x", "client_key": b"y"},
        {"client_certificate": b"x"},
        {"client_key": b"y"},
        {"server_name": "peer0"},
    ],
)
def test_tls_material_that_cannot_work_is_refused_at_once(options):
    with pytest.raises(BadInputError) as caught:
        open_channel("127.0.0.1:7051", **options)
    assert caught.value.code == "BAD_TLS_MATERIAL"


def test_the_hash_of_a_tls_certificate_is_of_its_der(tls):
    certificate = x509.load_pem_x509_certificate(tls[0])
    assert tls_certificate_hash(tls[0]) == certificate.fingerprint(hashes.SHA256())


def test_a_large_result_passes(make_peer, client):
    peer, port = make_peer(client, "127.0.0.1:0")
    peer.result = bytes(8 << 20)
    with open_channel(f"127.0.0.1:{port}") as channel:
        assert len(evaluate(client, channel)) == 8 << 20
