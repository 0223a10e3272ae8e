"""What a real peer makes of the table of certificates: of members in a block and in a query, of MSP definitions."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from fabric_protos.peer import transaction_pb2

from fedledger.identity import keys
from fedledger.identity.msp import serialize_identity
from tests.fabric.judge.channel import Role, out_of, role, rule_out_of
from tests.fabric.judge.peer import JUDGE_MSP, JudgingPeer
from tests.unit.identity.certificate_maker import Key
from tests.unit.identity.certificate_table import Case, Table
from tests.unit.validation.transaction_maker import CHAINCODE, LIFECYCLE, definition_of, signature_policy, transaction

CHANNEL = "certificates"
VALID = int(transaction_pb2.VALID)
REFUSED = int(transaction_pb2.BAD_CREATOR_SIGNATURE)


@dataclass(frozen=True)
class Member:
    """Whoever presents a certificate of the table and signs with its key, of whatever kind."""

    identity: bytes
    key: Key

    @classmethod
    def of(cls, case: Case) -> Member:
        return cls(serialize_identity(case.organisation, case.pem), case.key)

    def sign(self, message: bytes) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            made = self.key.sign(message, ec.ECDSA(hashes.SHA256()))
            return keys.with_low_s(made, self.key.public_key())
        assert isinstance(self.key, ed25519.Ed25519PrivateKey)
        return self.key.sign(message)


def judged_members(peer: JudgingPeer, table: Table) -> dict[str, bool]:
    """By case: whether a block's transaction that the identity has created is its creator's."""
    endorsers = [role(JUDGE_MSP, Role.PEER)]
    channel = peer.channel(CHANNEL, table.organisations, endorsement=out_of(1, endorsers))
    assert not (refusal := peer.join(CHANNEL, channel.genesis(table.now))), refusal
    definition = definition_of(CHAINCODE, signature_policy(rule_out_of(1, endorsers)))
    define = transaction(peer.administrator, [peer.endorser], CHANNEL, chaincode=LIFECYCLE, results=definition)
    assert peer.commit(CHANNEL, [define]) == [VALID]
    envelopes = [transaction(Member.of(case), [peer.endorser], CHANNEL) for case in table.cases]
    codes = peer.commit(CHANNEL, envelopes)
    assert set(codes) <= {VALID, REFUSED}, codes
    return {case.name: code == VALID for case, code in zip(table.cases, codes, strict=True)}


def answered_members(peer: JudgingPeer, table: Table) -> dict[str, str]:
    """By case: what the peer answers to the identity's query; empty when it answers it."""
    query = [b"GetChainInfo", CHANNEL.encode()]
    answers = {case.name: peer.propose(Member.of(case), CHANNEL, "qscc", query).response for case in table.cases}
    return {name: "" if answer.status == 200 else answer.message for name, answer in answers.items()}


def judged_definitions(peer: JudgingPeer, table: Table) -> dict[str, str]:
    """By definition: the peer's refusal of a channel with it, empty when it joins."""
    found = {}
    for number, (what, definition) in enumerate(table.definitions.items()):
        name = f"definition{number}"
        found[what] = peer.join(name, peer.channel(name, {"Odd": definition}).genesis(table.now))
    return found
