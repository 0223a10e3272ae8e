"""The example of the reference page runs as it is printed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import grpc
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import chaincode_event_pb2

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "gateway.md"


def test_the_example_evaluates_submits_and_follows_events(make_peer, make_client, tmp_path, monkeypatch, capsys):
    client = make_client(ec.generate_private_key(ec.SECP256R1()))
    key = client.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate = client.identity.credentials
    for name, content in (("certificate.pem", certificate), ("key.pem", key), ("tls-roots.pem", certificate)):
        (tmp_path / name).write_bytes(content)
    peer, port = make_peer(client, "127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    event = chaincode_event_pb2.ChaincodeEvent(chaincode_id="fedledger", tx_id="tx", event_name="RoundOpened")
    peer.chaincode_events = [gateway_pb2.ChaincodeEventsResponse(block_number=3, events=[event])]
    # The page's loop runs for ever; a peer that ends the stream ends it.
    peer.released.set()

    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example.replace("localhost:7051", f"localhost:{port}"), str(PAGE), "exec"), {})

    assert peer.methods() == ["Evaluate", "Endorse", "Submit", "CommitStatus", "ChaincodeEvents"]
    assert capsys.readouterr().out == "3 RoundOpened\n"
    assert json.loads((tmp_path / "events.json").read_text()) == {"blockNumber": "3", "transactionId": "tx"}
