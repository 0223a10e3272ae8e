"""Who may connect when the service has TLS credentials."""

from __future__ import annotations

import datetime

import grpc
import pytest

from fedledger.identity.authority import CertificateAuthority, Validity, certificate_pem
from fedledger.identity.keys import generate_key, private_key_pem
from fedledger_chaincode.service import ServiceError, TlsCredentials
from tests.unit.chaincode_service.peer import SECONDS, ScriptedPeer


class Organisation:
    """An organisation's TLS CA and the certificates it issues."""

    def __init__(self) -> None:
        self._validity = Validity.starting(datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1))
        self._ca = CertificateAuthority.self_signed(generate_key(), "tlsca", "Cleveland", self._validity)
        self.roots = certificate_pem(self._ca.certificate)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """Key and certificate in PEM, for this host."""
        key = generate_key()
        certificate = self._ca.issue_tls(key.public_key(), name, ["127.0.0.1", "localhost"], self._validity)
        return private_key_pem(key), certificate_pem(certificate)


@pytest.fixture(scope="module")
def organisation() -> Organisation:
    return Organisation()


def tls_of(organisation: Organisation, *, client_ca: bytes | None) -> TlsCredentials:
    key, certificate = organisation.issue("chaincode")
    return TlsCredentials(key, certificate, client_ca)


def refused(address: str, credentials: grpc.ChannelCredentials | None) -> bool:
    """Whether the stream ends before the service has registered."""
    peer = ScriptedPeer(address, credentials=credentials)
    peer.open()
    ended = peer.ended.wait(SECONDS)
    peer.channel.close()
    return ended and peer.registered_as is None and peer.status is grpc.StatusCode.UNAVAILABLE


def test_a_peer_of_the_organisation_is_served(serve, organisation):
    server = serve(address="127.0.0.1:0", tls=tls_of(organisation, client_ca=organisation.roots))
    credentials = grpc.ssl_channel_credentials(organisation.roots, *organisation.issue("peer"))
    with ScriptedPeer(server.address, credentials=credentials) as peer:
        assert peer.run("Describe").response.status == 200


def test_without_a_client_ca_no_certificate_is_asked_for(serve, organisation):
    server = serve(address="127.0.0.1:0", tls=tls_of(organisation, client_ca=None))
    with ScriptedPeer(server.address, credentials=grpc.ssl_channel_credentials(organisation.roots)) as peer:
        assert peer.run("Describe").response.status == 200


@pytest.mark.parametrize("defect", ["no certificate", "another CA's certificate", "in the clear"])
def test_who_is_no_peer_of_the_organisation_is_not_served(serve, organisation, defect):
    server = serve(address="127.0.0.1:0", tls=tls_of(organisation, client_ca=organisation.roots))
    credentials = {
        "no certificate": grpc.ssl_channel_credentials(organisation.roots),
        "another CA's certificate": grpc.ssl_channel_credentials(organisation.roots, *Organisation().issue("peer")),
        "in the clear": None,
    }[defect]
    assert refused(server.address, credentials)


@pytest.mark.parametrize("tls", [TlsCredentials(b"", b""), TlsCredentials(b"no key", b"no certificate")])
def test_credentials_that_are_none_stop_the_start(serve, tls):
    with pytest.raises(ServiceError, match=r"BAD_TLS|CANNOT_LISTEN"):
        serve(address="127.0.0.1:0", tls=tls)


def test_a_key_does_not_show_in_what_is_printed(organisation):
    assert "PRIVATE" not in repr(tls_of(organisation, client_ca=None))
