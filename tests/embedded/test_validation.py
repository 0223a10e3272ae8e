"""Each validation code, given to an endorsed transaction that was changed in one way and signed all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2, transaction_pb2

from fedledger.audit.channel import ChannelConfig
from fedledger.audit.endorsement_policies import EndorsementPolicies
from fedledger.gateway.blocks import EndorserTransaction, StateUpdate, Version
from fedledger.identity.errors import IdentityError
from fedledger.identity.keys import generate_key, sign
from fedledger.identity.msp import serialize_identity
from fedledger.identity.wallet import Wallet
from fedledger.validation.codes import judge
from fedledger.validation.state import ReplayedState
from fedledger_network.embedded.channel import Channel
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.validation import Validated, validate
from fedledger_network.embedded.world import World
from tests.embedded.clients import Client, with_changed_action

Envelope = bytes


@pytest.fixture(scope="module")
def channel(participant: Client) -> Channel:
    with participant.network.block_events(start_block=0, end_block=0) as blocks:
        return Channel.from_block(next(iter(blocks)).SerializeToString())


@pytest.fixture(scope="module")
def workers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def endorsed(participant: Client) -> Any:
    """An endorsed transaction that writes one key."""
    return participant.endorsed("Put", "key=value")


def signed(client: Client, prepared: Any) -> Envelope:
    payload = prepared.envelope.payload
    return bytes(common_pb2.Envelope(payload=payload, signature=sign(client.key, payload)).SerializeToString())


def with_header(client: Client, prepared: Any, change: Callable[[Any, Any], None]) -> Envelope:
    """The transaction with another channel and signature header, signed."""
    payload = common_pb2.Payload.FromString(prepared.envelope.payload)
    channel_header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    signature_header = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
    change(channel_header, signature_header)
    payload.header.channel_header = channel_header.SerializeToString()
    payload.header.signature_header = signature_header.SerializeToString()
    content = payload.SerializeToString()
    return bytes(common_pb2.Envelope(payload=content, signature=sign(client.key, content)).SerializeToString())


def with_results(client: Client, running: NetworkFolder, prepared: Any, change: Callable[[bytes], bytes]) -> Envelope:
    """The transaction with other results, which all peers have signed."""

    def endorse_anew(action: Any) -> None:
        payload = proposal_response_pb2.ProposalResponsePayload.FromString(action.action.proposal_response_payload)
        result = proposal_pb2.ChaincodeAction.FromString(payload.extension)
        result.results = change(result.results)
        payload.extension = result.SerializeToString()
        content = payload.SerializeToString()
        action.action.proposal_response_payload = content
        del action.action.endorsements[:]
        for organisation in running.consortium().organisations:
            peer = Wallet(running.organisation(organisation) / "peer").load()
            endorser = serialize_identity(organisation.msp_id, peer.certificate_pem)
            action.action.endorsements.add(endorser=endorser, signature=sign(peer.key, content + endorser))

    return signed(client, with_changed_action(prepared, endorse_anew))


def run(envelopes: list[Envelope], channel: Channel, workers: ThreadPoolExecutor, known: frozenset[str]) -> Validated:
    return validate(7, envelopes, channel, World(7, ()), known.__contains__, workers, "fedledger")


@pytest.fixture
def code_of(channel: Channel, workers: ThreadPoolExecutor) -> Callable[[Envelope], str]:
    """The code of a transaction that stands in a block alone; an auditor must come to the same one."""
    config = ChannelConfig.from_config(channel.name, channel.config)
    policies = EndorsementPolicies(config, ReplayedState(), "fedledger")

    def code(envelope: Envelope) -> str:
        (found,) = run([envelope], channel, workers, frozenset()).codes
        assert found == judge(envelope, config, frozenset(), policies.check).code
        return str(transaction_pb2.TxValidationCode.Name(found))

    return code


def test_an_endorsed_and_signed_transaction_is_valid(
    participant: Client, endorsed: Any, code_of: Callable[[Envelope], str]
) -> None:
    assert code_of(signed(participant, endorsed)) == "VALID"


def _epoch(channel: Any, signature: Any) -> None:
    channel.epoch = 1


def _another_type(channel: Any, signature: Any) -> None:
    channel.type = common_pb2.MESSAGE


def _no_time(channel: Any, signature: Any) -> None:
    channel.ClearField("timestamp")


def _before_1970(channel: Any, signature: Any) -> None:
    channel.timestamp.seconds = -5


def _after_9999(channel: Any, signature: Any) -> None:
    channel.timestamp.seconds = 1 << 60


def _before_its_certificate(channel: Any, signature: Any) -> None:
    channel.timestamp.seconds = 1


def _foreign_id(channel: Any, signature: Any) -> None:
    channel.tx_id = "ab" * 32


def _another_channel(channel: Any, signature: Any) -> None:
    channel.channel_id = "elsewhere"


def _another_nonce(channel: Any, signature: Any) -> None:
    signature.nonce = b"another"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_epoch, "BAD_COMMON_HEADER"),
        (_another_type, "BAD_COMMON_HEADER"),
        (_no_time, "INVALID_ENDORSER_TRANSACTION"),
        (_before_1970, "INVALID_ENDORSER_TRANSACTION"),
        (_after_9999, "INVALID_ENDORSER_TRANSACTION"),
        (_before_its_certificate, "INVALID_ENDORSER_TRANSACTION"),
        (_foreign_id, "BAD_PROPOSAL_TXID"),
        (_another_channel, "BAD_CREATOR_SIGNATURE"),
        (_another_nonce, "BAD_PROPOSAL_TXID"),
    ],
)
def test_a_header_that_cannot_be_is_refused(
    participant: Client,
    endorsed: Any,
    code_of: Callable[[Envelope], str],
    change: Callable[[Any, Any], None],
    code: str,
) -> None:
    assert code_of(with_header(participant, endorsed, change)) == code


@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        (b"", "BAD_COMMON_HEADER"),
        (b"\xff", "INVALID_OTHER_REASON"),
        (b"\x0a\x03abc", "BAD_PAYLOAD"),
        (common_pb2.Envelope(payload=b"\x12").SerializeToString(), "BAD_PAYLOAD"),
    ],
)
def test_bytes_that_are_no_transaction_are_refused(
    garbage: bytes, code: str, code_of: Callable[[Envelope], str]
) -> None:
    assert code_of(garbage) == code


def test_another_keys_signature_is_refused(
    participant: Client, endorsed: Any, code_of: Callable[[Envelope], str]
) -> None:
    forged = replace(participant, key=generate_key())
    assert code_of(signed(forged, endorsed)) == "BAD_CREATOR_SIGNATURE"


def _no_results(results: bytes) -> bytes:
    return b"\xff\xff"


def _an_invalid_key(results: bytes) -> bytes:
    return results.replace(b"key", b"k\xc3\x28")


def _a_surrogate(results: bytes) -> bytes:
    return results.replace(b"key", b"\xed\xa0\x80")


def _another_model(results: bytes) -> bytes:
    return results + b"\x08\x07"


def _with(results: bytes, change: Callable[[Any, Any], None]) -> bytes:
    message = rwset_pb2.TxReadWriteSet.FromString(results)
    kv = kv_rwset_pb2.KVRWSet.FromString(message.ns_rwset[0].rwset)
    change(message.ns_rwset[0], kv)
    message.ns_rwset[0].rwset = kv.SerializeToString()
    return bytes(message.SerializeToString())


def _another_namespace(results: bytes) -> bytes:
    return _with(results, lambda entry, kv: setattr(entry, "namespace", "treasurer"))


def _a_private_collection(results: bytes) -> bytes:
    return _with(results, lambda entry, kv: entry.collection_hashed_rwset.add(collection_name="secrets") and None)


def _a_policy_of_the_key(results: bytes) -> bytes:
    return _with(results, lambda entry, kv: kv.metadata_writes.add(key="key") and None)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_no_results, "BAD_RWSET"),
        (_an_invalid_key, "BAD_RWSET"),
        (_a_surrogate, "BAD_RWSET"),
        (_another_model, "VALID"),
        (_another_namespace, "INVALID_CHAINCODE"),
    ],
)
def test_results_are_judged_although_all_peers_signed_them(
    participant: Client,
    running: NetworkFolder,
    endorsed: Any,
    channel: Channel,
    workers: ThreadPoolExecutor,
    change: Callable[[bytes], bytes],
    code: str,
) -> None:
    envelope = with_results(participant, running, endorsed, change)
    (found,) = run([envelope], channel, workers, frozenset()).codes
    assert transaction_pb2.TxValidationCode.Name(found) == code


@pytest.mark.parametrize("change", [_a_private_collection, _a_policy_of_the_key])
def test_what_this_node_does_not_have_is_refused(
    participant: Client,
    running: NetworkFolder,
    endorsed: Any,
    channel: Channel,
    workers: ThreadPoolExecutor,
    change: Callable[[bytes], bytes],
) -> None:
    envelope = with_results(participant, running, endorsed, change)
    assert run([envelope], channel, workers, frozenset()).codes == (transaction_pb2.ILLEGAL_WRITESET,)


def test_of_two_with_one_id_the_first_valid_one_counts(
    participant: Client, endorsed: Any, channel: Channel, workers: ThreadPoolExecutor
) -> None:
    good = signed(participant, endorsed)
    forged = signed(replace(participant, key=generate_key()), endorsed)
    result = run([forged, good, good], channel, workers, frozenset())
    assert result.codes == (
        transaction_pb2.BAD_CREATOR_SIGNATURE,
        transaction_pb2.VALID,
        transaction_pb2.DUPLICATE_TXID,
    )
    assert result.updates == (StateUpdate("fedledger", b"key", b"value", Version(7, 1)),)
    known = frozenset({endorsed.transaction_id})
    assert run([good], channel, workers, known).codes == (transaction_pb2.DUPLICATE_TXID,)


def test_within_a_block_a_later_reader_of_a_written_key_conflicts(
    participant: Client, channel: Channel, workers: ThreadPoolExecutor
) -> None:
    reads = [participant.endorsed("Add", "within", "1") for _ in range(2)]
    counts = participant.endorsed("Count", "with", "withz", "counted")
    envelopes = [signed(participant, each) for each in (*reads, counts)]
    assert run(envelopes, channel, workers, frozenset()).codes == (
        transaction_pb2.VALID,
        transaction_pb2.MVCC_READ_CONFLICT,
        transaction_pb2.PHANTOM_READ_CONFLICT,
    )


def test_any_flipped_byte_of_an_envelope_makes_it_invalid_and_is_no_failure_of_the_node(
    participant: Client, endorsed: Any, channel: Channel, workers: ThreadPoolExecutor
) -> None:
    good = signed(participant, endorsed)
    step = max(1, len(good) // 300)
    flipped = [good[:place] + bytes([good[place] ^ 0x41]) + good[place + 1 :] for place in range(0, len(good), step)]
    codes = run(flipped, channel, workers, frozenset()).codes
    harmless = [changed for changed, code in zip(flipped, codes, strict=True) if code == transaction_pb2.VALID]
    assert all(_same_content(changed, good) for changed in harmless)


def _same_content(one: Envelope, other: Envelope) -> bool:
    """A byte may change how a message is encoded without changing what was signed."""
    return EndorserTransaction.parse(one).payload == EndorserTransaction.parse(other).payload


@pytest.mark.parametrize("certificate", [b"\x00", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"])
def test_a_certificate_that_no_parser_likes_is_an_identity_error(channel: Channel, certificate: bytes) -> None:
    with pytest.raises(IdentityError):
        channel.identify(serialize_identity("ClevelandMSP", certificate))
