"""A client of a Fabric CA trusts only the server it was told to trust, and tells what went wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from fedledger.errors import BadInputError, DeadlineError, FedledgerError
from fedledger.identity.authority import NodeRole, certificate_pem
from fedledger.identity.ca import FabricCa, signing_request
from fedledger.identity.ca_session import CaError
from fedledger.identity.errors import IdentityError
from fedledger.identity.keys import generate_key
from fedledger.identity.wallet import Wallet
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.server import CaServer

REGISTRAR, REGISTRAR_SECRET = "registrar", "registrar-secret"


def opened(folder: Path, msp_id: str = "ClevelandMSP") -> DevelopmentAuthority:
    authority = DevelopmentAuthority.open(folder, msp_id)
    authority.set_registrar(REGISTRAR, REGISTRAR_SECRET)
    return authority


def refused(error: type[FedledgerError], code: str, call, *arguments, **options) -> FedledgerError:
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    assert caught.value.code == code
    assert caught.value.message and caught.value.remedy
    return caught.value


@pytest.fixture
def authority(tmp_path) -> Iterator[DevelopmentAuthority]:
    opening = opened(tmp_path / "ca")
    yield opening
    opening.close()


def test_the_servers_tls_certificate_must_chain_to_the_given_roots(authority, tmp_path):
    server_tls = Wallet(tmp_path / "server-tls")
    server_tls.save(authority.issue_tls("ca", NodeRole.CLIENT, ["127.0.0.1"]))
    right, wrong = tmp_path / "tlsca.pem", tmp_path / "ca.pem"
    right.write_bytes(certificate_pem(authority.tls_ca.certificate))
    wrong.write_bytes(certificate_pem(authority.identity_ca.certificate))
    with CaServer(authority, tls=server_tls) as server:
        assert server.url.startswith("https://")
        assert FabricCa(server.url, roots=right).enroll(REGISTRAR, REGISTRAR_SECRET)
        refused(CaError, "CA_UNTRUSTED", FabricCa(server.url, roots=wrong).info)
        refused(CaError, "CA_UNTRUSTED", FabricCa(server.url).info)
        elsewhere = server.url.replace("127.0.0.1", "localhost")
        refused(CaError, "CA_UNTRUSTED", FabricCa(elsewhere, roots=right).info)


def test_a_secret_is_not_sent_in_plain_text_to_another_machine(tmp_path):
    refused(BadInputError, "CA_PLAIN_TEXT", FabricCa, "http://ca.cleveland.example:7054")
    refused(BadInputError, "CA_URL", FabricCa, "ca.cleveland.example:7054")
    refused(BadInputError, "MISSING_FILE", FabricCa, "https://ca.example", roots=tmp_path / "no.pem")


def test_a_silent_an_absent_and_a_foreign_server_are_told_apart():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        refused(DeadlineError, "CA_TIMEOUT", FabricCa(url, deadline=0.2).info)
    refused(CaError, "CA_UNREACHABLE", FabricCa(url, deadline=1).info)
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        url = f"http://127.0.0.1:{foreign.getsockname()[1]}"
        thread = threading.Thread(target=answer_once, args=(foreign, b"HTTP/1.0 200 OK\r\n\r\n{}"))
        thread.start()
        refused(CaError, "CA_PROTOCOL", FabricCa(url).info)
        thread.join()


def test_an_answer_with_a_certificate_for_another_key_is_not_accepted(authority):
    with CaServer(authority) as server:
        answer = requests.post(
            f"{server.url}/api/v1/enroll",
            json={"certificate_request": signing_request(generate_key(), REGISTRAR)},
            auth=(REGISTRAR, REGISTRAR_SECRET),
            timeout=10,
        ).content
    with socket.create_server(("127.0.0.1", 0)) as impostor:
        url = f"http://127.0.0.1:{impostor.getsockname()[1]}"
        thread = threading.Thread(target=answer_once, args=(impostor, b"HTTP/1.0 201 OK\r\n\r\n" + answer))
        thread.start()
        refused(IdentityError, "KEY_MISMATCH", FabricCa(url).enroll, REGISTRAR, REGISTRAR_SECRET)
        thread.join()


def answer_once(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def test_a_port_in_use_is_said_so(authority):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert str(port) in refused(BadInputError, "ADDRESS_IN_USE", CaServer, authority, port=port).message
