"""Which policies a transaction's endorsers have to satisfy, as Fabric's validator chooses them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fabric_protos.common import policies_pb2
from fabric_protos.peer import policy_pb2
from fabric_protos.peer.lifecycle import chaincode_definition_pb2, db_pb2

from fedledger.audit.channel import ChannelConfig
from fedledger.audit.endorsement_policies import LIFECYCLE, chaincode_policy, required_policies
from fedledger.audit.findings import CheckName, Finding
from fedledger.audit.replayed_state import BlockUpdates, ReplayedState
from fedledger.gateway.blocks import (
    CollectionReadWriteSet,
    EndorserTransaction,
    HashedWrite,
    NamespaceReadWriteSet,
    Version,
    Write,
    parse_block,
)
from fedledger.identity.msp import VerifiedIdentity
from tests.unit.audit.members import TrainingConsortium
from tests.unit.contract.ledger import CHANNEL, MSPS, START


@pytest.fixture(scope="module")
def config(audited: TrainingConsortium) -> ChannelConfig:
    return ChannelConfig.from_config(CHANNEL, audited.ledger.configuration())


@pytest.fixture(scope="module")
def peers(audited: TrainingConsortium, config: ChannelConfig) -> list[VerifiedIdentity]:
    now = datetime.fromtimestamp(START, UTC)
    return [config.identify(audited.ledger.peers[msp].serialized, now) for msp in MSPS]


@pytest.fixture(scope="module")
def template(audited: TrainingConsortium) -> EndorserTransaction:
    return EndorserTransaction.parse(parse_block(audited.ledger.blocks[1]).data.data[0])


def entry(namespace: str, *, public: bool = False, collection: str = "") -> NamespaceReadWriteSet:
    writes = (Write("key", b"value"),) if public else ()
    private = (HashedWrite(b"\xff", b"hash", False),)
    collections = (CollectionReadWriteSet(collection, (), private, b""),) if collection else ()
    return NamespaceReadWriteSet(namespace, (), (), writes, (), collections)


def defined(template: EndorserTransaction, policy: policy_pb2.ApplicationPolicy, plugin: str = "vscc") -> ReplayedState:
    """A state in which the chaincode ``fedledger`` is committed with that policy."""
    info = chaincode_definition_pb2.ChaincodeValidationInfo(
        validation_plugin=plugin, validation_parameter=policy.SerializeToString()
    )
    value = db_pb2.StateData(Bytes=info.SerializeToString()).SerializeToString()
    write = Write("namespaces/fields/fedledger/ValidationInfo", value)
    updates = BlockUpdates()
    definition = NamespaceReadWriteSet(LIFECYCLE, (), (), (write,), (), ())
    updates.add(replace(template, read_write_sets=(definition,)), Version(1, 0))
    state = ReplayedState()
    state.apply(updates)
    return state


def enough(
    template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity], *entries: NamespaceReadWriteSet
) -> int:
    """How many organisations' peers have to endorse, beginning with the first."""
    policies = required_policies(replace(template, read_write_sets=entries), config, ReplayedState())
    return next(
        count for count in range(len(peers) + 1) if all(policy.satisfied_by(peers[:count]) for policy in policies)
    )


class TestRequiredPolicies:
    def test_of_a_transaction_that_writes_nothing_is_its_chaincodes(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        assert enough(template, config, peers) == 3
        assert enough(template, config, peers, entry("fedledger")) == 3

    def test_of_public_writes_are_their_namespaces(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        assert enough(template, config, peers, entry("fedledger", public=True), entry("another", public=True)) == 3

    def test_of_an_organisations_own_collection_are_its_own(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        own = entry("fedledger", collection=f"_implicit_org_{MSPS[0]}")
        assert enough(template, config, peers, own) == 1
        assert enough(template, config, peers, entry("fedledger", collection=f"_implicit_org_{MSPS[1]}")) == 2

    def test_of_a_strangers_collection_are_never_satisfied(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        (policy,) = required_policies(
            replace(template, read_write_sets=(entry("fedledger", collection="_implicit_org_EveMSP"),)),
            config,
            ReplayedState(),
        )
        assert not policy.satisfied_by(peers)

    def test_of_another_collection_are_its_chaincodes(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        assert enough(template, config, peers, entry("fedledger", collection="secrets")) == 3


class TestACommittedDefinition:
    def test_has_a_policy_of_its_own(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        own = config.config.channel_group.groups["Application"].groups[MSPS[0]].policies["Endorsement"].policy
        policy = policy_pb2.ApplicationPolicy(
            signature_policy=policies_pb2.SignaturePolicyEnvelope.FromString(own.value)
        )
        state = defined(template, policy)
        assert chaincode_policy("fedledger", config, state).satisfied_by(peers[:1])
        assert not chaincode_policy("fedledger", config, state).satisfied_by(peers[1:])
        assert not chaincode_policy("another", config, state).satisfied_by(peers[:1])

    def test_or_one_of_the_channels(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        reference = policy_pb2.ApplicationPolicy(channel_config_policy_reference="/Channel/Application/Endorsement")
        assert chaincode_policy("fedledger", config, defined(template, reference)).satisfied_by(peers[:3])

    @pytest.mark.parametrize(
        ("reference", "plugin"), [("/Channel/Application/Nothing", "vscc"), ("/Channel/Application/Endorsement", "own")]
    )
    def test_that_cannot_be_judged_is_a_finding(
        self, template: EndorserTransaction, config: ChannelConfig, reference: str, plugin: str
    ) -> None:
        policy = policy_pb2.ApplicationPolicy(channel_config_policy_reference=reference)
        with pytest.raises(Finding) as finding:
            chaincode_policy("fedledger", config, defined(template, policy, plugin))
        assert finding.value.check is CheckName.ENDORSEMENTS
