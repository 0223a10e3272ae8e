"""Which endorsement policies a transaction's writes need: a committed chaincode definition's, or the channel's default.

A definition is read from the replayed ``_lifecycle`` namespace, whose transactions were judged like all others.
Refuses policies of other validation plugins than Fabric's built-in one.
"""

from __future__ import annotations

from fabric_protos.peer import policy_pb2
from fabric_protos.peer.lifecycle import chaincode_definition_pb2, db_pb2
from google.protobuf.message import DecodeError

from fedledger.audit.channel import ChannelConfig
from fedledger.audit.errors import GenesisError
from fedledger.audit.findings import CheckName, Finding
from fedledger.audit.policies import OutOf, Policy, SignaturePolicy, signature_policy
from fedledger.audit.replayed_state import ReplayedState
from fedledger.gateway.blocks import EndorserTransaction

LIFECYCLE = "_lifecycle"
LIFECYCLE_POLICY = "/Channel/Application/LifecycleEndorsement"
_BUILT_IN = "vscc"
_IMPLICIT = "_implicit_org_"
"""What the names of the private collections begin with that each organisation has in each chaincode."""
_NEVER = SignaturePolicy(OutOf(1, ()))
"""Without a policy for definitions nobody can commit one; a client may still send such a transaction."""


def required_policies(
    transaction: EndorserTransaction, config: ChannelConfig, state: ReplayedState
) -> tuple[Policy, ...]:
    """The policies that a transaction's endorsers have to satisfy, all of them; raises ``Finding``.

    The policy of each namespace with public writes, that of each private collection with writes, and, where the
    invoked chaincode writes nothing, its own (``statebased/v20.go``, ``Evaluate`` and ``CheckCCEPIfNotChecked``).
    """
    policies: list[Policy] = []
    checked = set()
    for entry in transaction.read_write_sets:
        if entry.writes or entry.metadata_writes:
            checked.add(entry.namespace)
            policies.append(chaincode_policy(entry.namespace, config, state))
        for collection in entry.collections:
            if collection.writes:
                checked.add(entry.namespace)
                policies.append(_collection_policy(entry.namespace, collection.collection_name, config, state))
    if transaction.chaincode_name not in checked:
        policies.append(chaincode_policy(transaction.chaincode_name, config, state))
    return tuple(policies)


def _collection_policy(chaincode: str, collection: str, config: ChannelConfig, state: ReplayedState) -> Policy:
    """An organisation's implicit collection is its own affair; others follow their chaincode's policy."""
    if not collection.startswith(_IMPLICIT):
        return chaincode_policy(chaincode, config, state)
    return config.organisation_policy(collection.removeprefix(_IMPLICIT), "Endorsement") or _NEVER


def chaincode_policy(chaincode: str, config: ChannelConfig, state: ReplayedState) -> Policy:
    """The policy for writes into a chaincode's namespace (``core/chaincode/lifecycle``); raises ``Finding``."""
    try:
        if chaincode == LIFECYCLE:
            return config.policy(LIFECYCLE_POLICY) if config.has_policy(LIFECYCLE_POLICY) else _NEVER
        definition = state.values(LIFECYCLE).get(f"namespaces/fields/{chaincode}/ValidationInfo")
        if definition is None:
            return config.endorsement
        return _defined(definition, config)
    except (DecodeError, GenesisError) as error:
        raise Finding(
            CheckName.ENDORSEMENTS, f"the endorsement policy of chaincode {chaincode} cannot be read ({error})"
        ) from error


def _defined(definition: bytes, config: ChannelConfig) -> Policy:
    stored = db_pb2.StateData.FromString(definition).Bytes
    info = chaincode_definition_pb2.ChaincodeValidationInfo.FromString(stored)
    if info.validation_plugin not in ("", _BUILT_IN):
        raise Finding(CheckName.ENDORSEMENTS, f"the validation plugin {info.validation_plugin} is not known here")
    policy = policy_pb2.ApplicationPolicy.FromString(info.validation_parameter)
    if policy.WhichOneof("Type") == "signature_policy":
        return signature_policy(policy.signature_policy.SerializeToString())
    return config.policy(policy.channel_config_policy_reference)
