"""Which endorsement policies a transaction's writes need: those of committed chaincode definitions.

A definition is read from the replayed ``_lifecycle`` namespace, whose transactions were judged like all others. A
channel of the embedded node has no lifecycle: there the one contract needs the channel's default policy. Refuses
policies of other validation plugins than Fabric's built-in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fabric_protos.peer import collection_pb2, policy_pb2
from fabric_protos.peer.lifecycle import chaincode_definition_pb2, db_pb2
from google.protobuf.message import DecodeError

from fedledger.audit.channel import ChannelConfig
from fedledger.audit.errors import GenesisError
from fedledger.audit.findings import CheckName, Finding
from fedledger.gateway.blocks import EndorserTransaction
from fedledger.identity.msp import VerifiedIdentity
from fedledger.validation.codes import Code, Refused
from fedledger.validation.policies import OutOf, Policy, RolePrincipal, SignaturePolicy, SignedBy, signature_policy
from fedledger.validation.state import ReplayedState

LIFECYCLE = "_lifecycle"
LIFECYCLE_POLICY = "/Channel/Application/LifecycleEndorsement"
_BUILT_IN = "vscc"
_IMPLICIT = "_implicit_org_"
"""What the names of the private collections begin with that each organisation has in each chaincode."""
_NEVER = SignaturePolicy(OutOf(1, ()))
"""Without a policy for definitions nobody can commit one; a client may still send such a transaction."""


@dataclass(frozen=True)
class EndorsementPolicies:
    """The policies that hold for one block's transactions."""

    config: ChannelConfig
    state: ReplayedState
    one_chaincode: str
    """The one that a channel without a lifecycle has."""

    def check(self, transaction: EndorserTransaction, endorsers: Sequence[VerifiedIdentity]) -> None:
        """Raise ``Refused`` unless the endorsers satisfy the policy of everything that is written.

        That of each namespace with public writes, that of each private collection with writes, and, where the
        invoked chaincode writes nothing, its own (``statebased/v20.go``). Raises ``Finding`` for a policy that cannot
        be judged.
        """
        for policy in self._required(transaction):
            if not policy.satisfied_by(endorsers):
                raise Refused(
                    Code.ENDORSEMENT_POLICY_FAILURE,
                    f"is endorsed by {_names(endorsers)}, which does not satisfy the endorsement policy",
                )

    def _required(self, transaction: EndorserTransaction) -> list[Policy]:
        """A chaincode that is not defined is found before any policy is looked at; Fabric draws the order by lot."""
        namespaces = [transaction.chaincode_name]
        needed: list[Policy] = []
        private: list[tuple[str, str]] = []
        only_private = set()
        for entry in transaction.read_write_sets:
            written = [each.collection_name for each in entry.collections if each.writes or each.sets_metadata]
            private += [(entry.namespace, collection) for collection in written]
            if entry.writes or entry.metadata_writes:
                namespaces.append(entry.namespace)
            elif written:
                only_private.add(entry.namespace)
        for namespace in dict.fromkeys([*namespaces, *sorted(only_private)]):
            policy = self.chaincode(namespace)
            if namespace not in only_private:
                needed.append(policy)
        return needed + [self._collection(namespace, collection) for namespace, collection in private]

    def chaincode(self, name: str) -> Policy:
        """The policy for writes into a chaincode's namespace; raises ``Refused`` for one that is not defined."""
        try:
            if name == LIFECYCLE:
                return self.config.policy(LIFECYCLE_POLICY) if self.config.has_policy(LIFECYCLE_POLICY) else _NEVER
            definition = self._field(name, "ValidationInfo")
            if definition is not None:
                return self._defined(definition)
            if self.config.has_no_lifecycle and name == self.one_chaincode:
                return self.config.endorsement
        except (DecodeError, GenesisError) as error:
            raise Finding(
                CheckName.ENDORSEMENTS, f"the endorsement policy of chaincode {name} cannot be read ({error})"
            ) from error
        raise Refused(Code.INVALID_CHAINCODE, f"is of chaincode {name}, which is not defined on the channel")

    def _collection(self, chaincode: str, collection: str) -> Policy:
        """An organisation's implicit collection is its own affair; others have their own policy or the chaincode's."""
        if collection.startswith(_IMPLICIT):
            return self._organisation(collection.removeprefix(_IMPLICIT))
        try:
            package = collection_pb2.CollectionConfigPackage.FromString(self._field(chaincode, "Collections") or b"")
            for entry in package.config:
                told = entry.static_collection_config
                if told.name == collection:
                    return self._policy(told.endorsement_policy) if _is_set(told) else self.chaincode(chaincode)
        except (DecodeError, GenesisError) as error:
            raise Finding(
                CheckName.ENDORSEMENTS, f"the policy of collection {collection} of {chaincode} cannot be read ({error})"
            ) from error
        return _NEVER

    def _organisation(self, msp_id: str) -> Policy:
        if not self.config.has_member(msp_id):
            return _NEVER
        anybody = SignaturePolicy(SignedBy(RolePrincipal(msp_id, None)))
        return self.config.organisation_policy(msp_id, "Endorsement") or anybody

    def _defined(self, definition: bytes) -> Policy:
        info = chaincode_definition_pb2.ChaincodeValidationInfo.FromString(definition)
        if info.validation_plugin not in ("", _BUILT_IN):
            raise Finding(CheckName.ENDORSEMENTS, f"the validation plugin {info.validation_plugin} is not known here")
        return self._policy(policy_pb2.ApplicationPolicy.FromString(info.validation_parameter))

    def _policy(self, policy: Any) -> Policy:
        if policy.WhichOneof("Type") == "signature_policy":
            return signature_policy(policy.signature_policy.SerializeToString())
        reference = policy.channel_config_policy_reference
        return self.config.policy(reference) if self.config.has_policy(reference) else _NEVER

    def _field(self, chaincode: str, field: str) -> bytes | None:
        """A field of a definition; None when the chaincode is not defined."""
        stored = self.state.values(LIFECYCLE).get(f"namespaces/fields/{chaincode}/{field}")
        return None if stored is None else bytes(db_pb2.StateData.FromString(stored).Bytes)


def _is_set(collection: Any) -> bool:
    return bool(collection.HasField("endorsement_policy"))


def _names(signers: Sequence[VerifiedIdentity]) -> str:
    return ", ".join(f"{signer.common_name} of {signer.msp_id}" for signer in signers) or "nobody"
