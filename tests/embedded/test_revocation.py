"""A revocation list on its way from the CA to the channel, and updates of the channel that nobody may make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from fabric_protos.common import common_pb2, configtx_pb2
from fabric_protos.msp import msp_config_pb2

from fedledger.audit import CheckName, verify_network
from fedledger.errors import AccessError, BadInputError
from fedledger.gateway import CommitStatusError, EndorseError, EvaluateError, EventsError
from fedledger.identity.keys import sign
from fedledger.identity.profile import Profile, load_profile
from fedledger.identity.wallet import Wallet
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.in_process import in_process_ca
from fedledger_network.ca.organisation import REGISTRAR, authority_folder
from fedledger_network.ca.service import CaService
from fedledger_network.configuration.ordering import OrdererEndpoint, broadcast
from fedledger_network.configuration.reading import current_config
from fedledger_network.configuration.revocation import publish_revocation_list, revocation_update
from fedledger_network.consortium import Organisation
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode
from tests.embedded.clients import CHANNEL, MSPS, NAMES, Client, client
from tests.embedded.conftest import CONTRACT

FIRST = Organisation(NAMES[0], MSPS[0])


@contextmanager
def authority(folder: NetworkFolder) -> Iterator[DevelopmentAuthority]:
    opened = DevelopmentAuthority.open(authority_folder(folder.organisation(FIRST)), FIRST.msp_id)
    try:
        yield opened
    finally:
        opened.close()


def revoked(folder: NetworkFolder, member: str) -> bytes:
    """The list of the first organisation's CA after it has revoked a member, by Fabric CA's calls."""
    registrar = Wallet(folder.organisation(FIRST) / REGISTRAR).load()
    with authority(folder) as opened:
        ca = in_process_ca(CaService(opened), opened.name)
        ca.revoke(registrar, f"{member}@{FIRST.msp_id}", "keycompromise")
        return ca.revocation_list(registrar)


def empty_list(folder: NetworkFolder) -> bytes:
    registrar = Wallet(folder.organisation(FIRST) / REGISTRAR).load()
    with authority(folder) as opened:
        return in_process_ca(CaService(opened), opened.name).revocation_list(registrar)


def governor(folder: NetworkFolder, name: str = NAMES[0]) -> Profile:
    return load_profile(folder.profiles, f"{name}-governor")


def test_a_revoked_identity_is_refused_from_the_next_block_on_and_the_audit_agrees(folder: NetworkFolder) -> None:
    with (
        EmbeddedNode(folder, contract=CONTRACT),
        client(folder, NAMES[0]) as leaving,
        client(folder, NAMES[1]) as staying,
    ):
        leaving.submit("Put", "a=1")
        prepared = leaving.endorsed("Put", "b=1")
        with leaving.network.block_events(start_block=0) as blocks:
            first = next(blocks)
            assert first.header.number == 0
            number = publish_revocation_list(governor(folder), [revoked(folder, "participant")])
            # A stream that is open ends too, as soon as there is something to deliver.
            with pytest.raises(EventsError, match="FORBIDDEN"):
                for block in blocks:
                    assert block.header.number <= number
        with pytest.raises(EndorseError, match="REVOKED"):
            leaving.submit("Put", "c=1")
        with pytest.raises(EvaluateError, match="REVOKED"):
            leaving.evaluate("Get", "a")
        with pytest.raises(CommitStatusError, match="REVOKED"):
            leaving.status("0" * 64)
        with pytest.raises(grpc.RpcError, match="insufficient number of orderers could"):
            leaving.hand_over(prepared)
        assert staying.submit("Put", "d=1") == 1
        assert staying.evaluate("Get", "a", "b", "c", "d") == ["1", None, None, "1"]
    # It is in force after a restart, which reads the configuration from the ledger.
    with EmbeddedNode(folder, contract=CONTRACT), client(folder, NAMES[1]) as reader:
        with client(folder, NAMES[0]) as leaving, pytest.raises(EndorseError, match="REVOKED"):
            leaving.submit("Put", "e=1")
        report = verify_network(reader.network, chaincode="another")
        assert report.ok, report.checks
        assert report.check(CheckName.CONFIGURATION.value).count == 2


@pytest.fixture(scope="module")
def certificates(running: NetworkFolder) -> bytes:
    """A list of the first organisation without anybody in it."""
    return empty_list(running)


def updated(running: NetworkFolder, reader: Client, lists: list[bytes], signer: Profile) -> bytes:
    return revocation_update(CHANNEL, current_config(reader.network), MSPS[0], lists, signer.credentials())


def test_only_an_organisations_own_administrator_may_revoke(
    running: NetworkFolder, participant: Client, certificates: bytes
) -> None:
    profile = governor(running)
    for other in (governor(running, NAMES[1]), load_profile(running.profiles, f"{NAMES[0]}-validator")):
        with pytest.raises(AccessError) as refused:
            envelope = updated(running, participant, [certificates], other)
            broadcast([OrdererEndpoint(profile.gateway)], envelope)
        assert refused.value.code == "UPDATE_REFUSED"
        assert "FORBIDDEN" in refused.value.message
    assert current_config(participant.network).sequence == 0


def _resigned(running: NetworkFolder, change: Callable[[Any], None], update: bytes) -> bytes:
    """The same update, changed and signed anew by the governor."""
    envelope = common_pb2.Envelope.FromString(update)
    payload = common_pb2.Payload.FromString(envelope.payload)
    signed = configtx_pb2.ConfigUpdateEnvelope.FromString(payload.data)
    content = configtx_pb2.ConfigUpdate.FromString(signed.config_update)
    change(content)
    signed.config_update = content.SerializeToString()
    key = governor(running).credentials().key
    signed.signatures[0].signature = sign(key, signed.signatures[0].signature_header + signed.config_update)
    payload.data = signed.SerializeToString()
    envelope.payload = payload.SerializeToString()
    envelope.signature = sign(key, envelope.payload)
    return bytes(envelope.SerializeToString())


def _another_channel(update: Any) -> None:
    update.channel_id = "elsewhere"


def _older(update: Any) -> None:
    update.read_set.groups["Application"].version = 7


def _skips_a_version(update: Any) -> None:
    update.write_set.groups["Application"].groups[MSPS[0]].values["MSP"].version = 5


def _one_section_only(update: Any) -> None:
    del update.write_set.groups["Orderer"]


def _nothing(update: Any) -> None:
    update.write_set.CopyFrom(update.read_set)


def _lowers_the_policy(update: Any) -> None:
    policy = update.write_set.groups["Application"].policies["Endorsement"]
    policy.version = 1
    policy.mod_policy = "Admins"


def _broken_msp(update: Any) -> None:
    for section in ("Application", "Orderer"):
        value = update.write_set.groups[section].groups[MSPS[0]].values["MSP"]
        msp = msp_config_pb2.FabricMSPConfig.FromString(msp_config_pb2.MSPConfig.FromString(value.value).config)
        del msp.root_certs[:]
        value.value = msp_config_pb2.MSPConfig(config=msp.SerializeToString()).SerializeToString()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_another_channel, "for channel elsewhere"),
        (_older, "another version of group /Channel/Application"),
        (_skips_a_version, "version 5 of value"),
        (_one_section_only, "two different definitions"),
        (_nothing, "changes nothing"),
        (_lowers_the_policy, "cannot change policy /Channel/Application/Endorsement"),
        (_broken_msp, "refused"),
    ],
)
def test_an_update_that_fabric_would_refuse_is_refused(
    running: NetworkFolder,
    participant: Client,
    certificates: bytes,
    change: Callable[[Any], None],
    reason: str,
) -> None:
    update = updated(running, participant, [certificates], governor(running))
    with pytest.raises(AccessError) as refused:
        broadcast([OrdererEndpoint(governor(running).gateway)], _resigned(running, change, update))
    assert reason in refused.value.message
    assert current_config(participant.network).sequence == 0


def test_updates_apply_one_after_the_other(running: NetworkFolder, certificates: bytes) -> None:
    with client(running, NAMES[3]) as reader:
        stale = updated(running, reader, [certificates], governor(running))
        first = publish_revocation_list(governor(running), [certificates])
        with pytest.raises(BadInputError, match="NOTHING_TO_CHANGE"):
            publish_revocation_list(governor(running), [certificates])
        second = publish_revocation_list(governor(running), [])
        assert second > first
        assert current_config(reader.network).sequence == 2
        with pytest.raises(AccessError, match="version 1 of value"):
            broadcast([OrdererEndpoint(governor(running).gateway)], stale)
        assert reader.submit("Put", "updated=1") == 1
        assert verify_network(reader.network, chaincode="another").ok
