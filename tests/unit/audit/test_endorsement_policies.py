"""Which policies a transaction's endorsers have to satisfy, as Fabric's validator chooses them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fabric_protos.common import policies_pb2
from fabric_protos.peer import collection_pb2, policy_pb2
from fabric_protos.peer.lifecycle import chaincode_definition_pb2, db_pb2

from fedledger.audit.channel import ChannelConfig
from fedledger.audit.endorsement_policies import LIFECYCLE, EndorsementPolicies
from fedledger.audit.findings import CheckName, Finding
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
from fedledger.validation.codes import Code, Refused
from fedledger.validation.state import BlockUpdates, ReplayedState
from tests.unit.audit.members import TrainingConsortium
from tests.unit.contract.ledger import CHANNEL, MSPS


@pytest.fixture(scope="module")
def config(audited: TrainingConsortium) -> ChannelConfig:
    return ChannelConfig.from_config(CHANNEL, audited.ledger.configuration())


@pytest.fixture(scope="module")
def peers(audited: TrainingConsortium, config: ChannelConfig) -> list[VerifiedIdentity]:
    return [config.identify(audited.ledger.peers[msp].serialized) for msp in MSPS]


@pytest.fixture(scope="module")
def template(audited: TrainingConsortium) -> EndorserTransaction:
    return EndorserTransaction.parse(parse_block(audited.ledger.blocks[1]).data.data[0])


def entry(namespace: str, *, public: bool = False, collection: str = "") -> NamespaceReadWriteSet:
    writes = (Write("key", b"value"),) if public else ()
    private = (HashedWrite(b"\xff", b"hash", False),)
    collections = (CollectionReadWriteSet(collection, (), private, b""),) if collection else ()
    return NamespaceReadWriteSet(namespace, (), (), writes, (), collections)


def defined(
    template: EndorserTransaction,
    policy: policy_pb2.ApplicationPolicy,
    plugin: str = "vscc",
    collections: collection_pb2.CollectionConfigPackage | None = None,
) -> ReplayedState:
    """A state in which the chaincode ``fedledger`` is committed with that policy."""
    info = chaincode_definition_pb2.ChaincodeValidationInfo(
        validation_plugin=plugin, validation_parameter=policy.SerializeToString()
    )
    value = db_pb2.StateData(Bytes=info.SerializeToString()).SerializeToString()
    packed = db_pb2.StateData(Bytes=b"" if collections is None else collections.SerializeToString())
    writes = (
        Write("namespaces/fields/fedledger/ValidationInfo", value),
        Write("namespaces/fields/fedledger/Collections", packed.SerializeToString()),
    )
    state = ReplayedState()
    updates = BlockUpdates(state)
    definition = NamespaceReadWriteSet(LIFECYCLE, (), (), writes, (), ())
    updates.add(replace(template, read_write_sets=(definition,)), Version(1, 0))
    state.apply(updates)
    return state


def enough(
    template: EndorserTransaction,
    config: ChannelConfig,
    peers: list[VerifiedIdentity],
    *entries: NamespaceReadWriteSet,
    state: ReplayedState | None = None,
) -> int:
    """How many organisations' peers have to endorse, beginning with the first; none of them is -1."""
    policies = EndorsementPolicies(config, state or ReplayedState(), "fedledger")
    transaction = replace(template, read_write_sets=entries)
    for count in range(len(peers) + 1):
        try:
            policies.check(transaction, peers[:count])
        except Refused as refusal:
            if refusal.code != Code.ENDORSEMENT_POLICY_FAILURE:
                raise
        else:
            return count
    return -1


class TestRequiredPolicies:
    def test_of_a_transaction_that_writes_nothing_is_its_chaincodes(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        assert enough(template, config, peers) == 3
        assert enough(template, config, peers, entry("fedledger")) == 3

    def test_of_public_writes_are_their_namespaces(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        assert enough(template, config, peers, entry("fedledger", public=True), entry("_lifecycle", public=True)) == 3

    @pytest.mark.parametrize("name", ["another", "qscc", "lscc", ""])
    def test_a_chaincode_that_is_not_defined_makes_a_transaction_invalid(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity], name: str
    ) -> None:
        for transaction, entries in (
            (template, (entry("fedledger", public=True), entry(name, public=True))),
            (replace(template, chaincode_name=name), ()),
        ):
            with pytest.raises(Refused, match="not defined") as refusal:
                enough(transaction, config, peers, *entries)
            assert refusal.value.code == Code.INVALID_CHAINCODE

    def test_and_so_does_the_contract_where_there_is_a_lifecycle_and_it_is_not_defined(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        with pytest.raises(Refused, match="not defined"):
            enough(template, replace(config, has_no_lifecycle=False), peers)

    def test_of_an_organisations_own_collection_are_its_own(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        own = entry("fedledger", collection=f"_implicit_org_{MSPS[0]}")
        assert enough(template, config, peers, own) == 1
        assert enough(template, config, peers, entry("fedledger", collection=f"_implicit_org_{MSPS[1]}")) == 2

    def test_of_a_strangers_collection_or_an_unknown_one_are_never_satisfied(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        for collection in ("_implicit_org_EveMSP", "secrets"):
            assert enough(template, config, peers, entry("fedledger", collection=collection)) == -1

    def test_of_a_defined_collection_are_its_own_or_its_chaincodes(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        chaincodes = policy_pb2.ApplicationPolicy(channel_config_policy_reference="/Channel/Application/Endorsement")
        collections = collection_pb2.CollectionConfigPackage()
        collections.config.add().static_collection_config.name = "common"
        own = collections.config.add().static_collection_config
        own.name = "own"
        group = config.config.channel_group.groups["Application"].groups[MSPS[0]]
        own.endorsement_policy.signature_policy.ParseFromString(group.policies["Endorsement"].policy.value)
        state = defined(template, chaincodes, collections=collections)
        for collection, count in (("common", 3), ("own", 1), ("other", -1)):
            assert enough(template, config, peers, entry("fedledger", collection=collection), state=state) == count


class TestACommittedDefinition:
    def test_has_a_policy_of_its_own(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        own = config.config.channel_group.groups["Application"].groups[MSPS[0]].policies["Endorsement"].policy
        policy = policy_pb2.ApplicationPolicy(
            signature_policy=policies_pb2.SignaturePolicyEnvelope.FromString(own.value)
        )
        found = EndorsementPolicies(config, defined(template, policy), "another").chaincode("fedledger")
        assert found.satisfied_by(peers[:1])
        assert not found.satisfied_by(peers[1:])

    def test_or_one_of_the_channels(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        reference = policy_pb2.ApplicationPolicy(channel_config_policy_reference="/Channel/Application/Endorsement")
        found = EndorsementPolicies(config, defined(template, reference), "").chaincode("fedledger")
        assert found.satisfied_by(peers[:3]) and not found.satisfied_by(peers[:2])

    def test_of_a_policy_that_is_not_there_is_never_satisfied(
        self, template: EndorserTransaction, config: ChannelConfig, peers: list[VerifiedIdentity]
    ) -> None:
        reference = policy_pb2.ApplicationPolicy(channel_config_policy_reference="/Channel/Application/Nothing")
        found = EndorsementPolicies(config, defined(template, reference), "").chaincode("fedledger")
        assert not found.satisfied_by(peers)

    def test_of_another_plugin_is_a_finding(self, template: EndorserTransaction, config: ChannelConfig) -> None:
        policy = policy_pb2.ApplicationPolicy(channel_config_policy_reference="/Channel/Application/Endorsement")
        policies = EndorsementPolicies(config, defined(template, policy, "own"), "")
        with pytest.raises(Finding) as finding:
            policies.chaincode("fedledger")
        assert finding.value.check is CheckName.ENDORSEMENTS
