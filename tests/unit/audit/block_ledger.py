"""A ledger of blocks with real certificates and signatures, and the hands of those who would tamper with it.

``BlockLedger`` runs the contract as four endorsing organisations do and writes one block per transaction; everything
that a colluding orderer, endorser or client could do to a block is a method that leaves the block consistent otherwise.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import chaincode_event_pb2, chaincode_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2

from fedledger.gateway.blocks import (
    EndorserTransaction,
    StateUpdate,
    Version,
    commit_hash,
    data_hash,
    header_hash,
    parse_block,
    proposal_hash,
    recorded_commit_hash,
    signed_block_bytes,
    state_updates_bytes,
    validation_codes,
)
from fedledger.identity.authority import NodeRole, Validity, certificate_pem
from fedledger.identity.keys import PrivateKey, generate_key, sign
from fedledger.identity.msp import serialize_identity
from fedledger_chaincode.contract import VERSION, Contract
from fedledger_chaincode.replay import ReplayStub
from tests.unit.audit.channel_configs import channel_config
from tests.unit.audit.envelopes import CHAINCODE, envelope_of, hashed, is_config, proposal, signed_envelope
from tests.unit.contract.ledger import (
    CHANNEL,
    MSPS,
    START,
    Actor,
    Argument,
    Ledger,
    encoded,
)

VALID, BAD_PAYLOAD, POLICY_FAILURE, MVCC_CONFLICT = 0, 2, 10, 11


@dataclass(frozen=True)
class Signatory:
    """A peer or an orderer of one organisation."""

    serialized: bytes
    key: PrivateKey


@dataclass
class BlockLedger(Ledger):
    """Four organisations with a peer and an orderer each; ``blocks`` are ``common.Block`` bytes from genesis on."""

    blocks: list[bytes] = field(default_factory=list)
    peers: dict[str, Signatory] = field(default_factory=dict)
    orderers: dict[str, Signatory] = field(default_factory=dict)
    clients: dict[bytes, PrivateKey] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for msp in MSPS:
            self.peers[msp] = self._signatory(msp, NodeRole.PEER)
            self.orderers[msp] = self._signatory(msp, NodeRole.ORDERER)
        self.blocks.append(self._genesis())

    def _signatory(self, msp: str, role: NodeRole) -> Signatory:
        self.actor(msp, None)
        validity = Validity.starting(datetime.fromtimestamp(START, UTC), timedelta(days=365))
        key = generate_key()
        certificate = self.authorities[msp].issue(key.public_key(), f"{role.value}0", [role], validity)
        return Signatory(serialize_identity(msp, certificate_pem(certificate)), key)

    def actor(self, msp: str, role: str | None, **kinds: Any) -> Actor:
        actor = super().actor(msp, role, **kinds)
        self.clients[actor.creator] = actor.key
        return actor

    def fork(self) -> BlockLedger:
        """A ledger with the same history that can be changed on its own."""
        twin = copy.copy(self)
        twin.blocks, twin.world, twin.versions = list(self.blocks), dict(self.world), dict(self.versions)
        twin.events, twin.clients = list(self.events), dict(self.clients)
        return twin

    def admin(self, msp: str) -> Actor:
        """An administrator of an organisation, who signs configurations."""
        signatory = self._signatory(msp, NodeRole.ADMIN)
        return Actor(msp, "", signatory.key, signatory.serialized)

    # --- configuration

    def configuration(self) -> Any:
        """The ``common.Config`` of the genesis block."""
        roots = {msp: certificate_pem(self.authorities[msp].certificate) for msp in MSPS}
        return channel_config(roots, {msp: self.orderers[msp].serialized for msp in MSPS})

    def _genesis(self) -> bytes:
        envelope = configtx_pb2.ConfigEnvelope(config=self.configuration())
        data = envelope_of(common_pb2.CONFIG, START, b"", b"", "", envelope.SerializeToString(deterministic=True), None)
        block = common_pb2.Block(header=common_pb2.BlockHeader(number=0), data=common_pb2.BlockData(data=[data]))
        block.header.data_hash = data_hash(block.data)
        signed = common_pb2.OrdererBlockMetadata(last_config=common_pb2.LastConfig(index=0))
        metadata = common_pb2.Metadata(value=signed.SerializeToString())
        block.metadata.metadata.extend([metadata.SerializeToString(), b"", bytes([VALID]), b"", b""])
        return bytes(block.SerializeToString())

    # --- honest work

    def submit(self, actor: Actor, function: str, *arguments: Argument) -> bytes:
        stub, envelope, payload = self.endorse(actor, function, *arguments)
        self.append([envelope])
        if stub.event is not None:
            self.events.append(stub.event[0])
        return payload

    def endorse(self, actor: Actor, function: str, *arguments: Argument) -> tuple[ReplayStub, bytes, bytes]:
        """Run the contract and have its result endorsed by all organisations; writes no block."""
        stub, nonce, action = self._result(actor, function, arguments)
        return stub, self.envelope(stub, nonce, action), action.response.payload

    def submit_forged(
        self,
        actor: Actor,
        change: Callable[[ReplayStub], None],
        function: str,
        *arguments: Argument,
        consistent: bool = False,
    ) -> None:
        """Endorse the result of one proposal and send it with another, which ``change`` makes of the first.

        Without ``consistent`` the endorsers' answer still names the proposal that they were given.
        """
        stub, nonce, action = self._result(actor, function, arguments)
        honest = replace(stub)
        change(stub)
        stub.transaction_id = hashlib.sha256(nonce + stub.creator).hexdigest()
        if stub.event is not None:
            action.events = self._event(stub)
        self.append([self.envelope(stub, nonce, action, asked=None if consistent else honest)])

    def _result(self, actor: Actor, function: str, arguments: Sequence[Argument]) -> tuple[ReplayStub, bytes, Any]:
        self.count += 1
        nonce = self.count.to_bytes(24, "big")
        stub = ReplayStub(
            world=self.world,
            transaction_id=hashlib.sha256(nonce + actor.creator).hexdigest(),
            channel_id=CHANNEL,
            function=function,
            arguments=[encoded(argument) for argument in arguments],
            creator=actor.creator,
            timestamp=self.now,
        )
        payload = Contract().invoke(stub)
        action = proposal_pb2.ChaincodeAction(
            results=self._results(stub),
            events=b"" if stub.event is None else self._event(stub),
            response=proposal_response_pb2.Response(status=200, payload=payload),
            chaincode_id=chaincode_pb2.ChaincodeID(name=CHAINCODE, version=VERSION),
        )
        return stub, nonce, action

    def _results(self, stub: ReplayStub) -> bytes:
        reads = []
        for key in sorted(stub.reads):
            read = kv_rwset_pb2.KVRead(key=key)
            if key in self.versions:
                version = self.versions[key]
                read.version.block_num, read.version.tx_num = version.block_number, version.transaction_number
            reads.append(read)
        writes = [
            kv_rwset_pb2.KVWrite(key=key, is_delete=value is None, value=value or b"")
            for key, value in sorted(stub.writes.items())
        ]
        rwset = kv_rwset_pb2.KVRWSet(reads=reads, writes=writes).SerializeToString()
        entry = rwset_pb2.NsReadWriteSet(namespace=CHAINCODE, rwset=rwset)
        return bytes(rwset_pb2.TxReadWriteSet(ns_rwset=[entry]).SerializeToString())

    def _event(self, stub: ReplayStub) -> bytes:
        name, payload = stub.event or ("", b"")
        event = chaincode_event_pb2.ChaincodeEvent(
            chaincode_id=CHAINCODE, tx_id=stub.transaction_id, event_name=name, payload=payload
        )
        return bytes(event.SerializeToString())

    def envelope(
        self,
        stub: ReplayStub,
        nonce: bytes,
        action: Any,
        endorsers: Sequence[str] = MSPS,
        forgers: Sequence[str] = (),
        asked: ReplayStub | None = None,
        chaincode: str = CHAINCODE,
    ) -> bytes:
        """The signed envelope of a result; ``forgers`` sign something else than what they endorse.

        ``asked`` is what the endorsers were asked, where that is something else than what the envelope says.
        """
        header, request = proposal(stub, nonce, chaincode)
        answer = proposal_response_pb2.ProposalResponsePayload(
            proposal_hash=proposal_hash(*hashed(*proposal(asked or stub, nonce, chaincode))),
            extension=action.SerializeToString(),
        ).SerializeToString()
        payload = transaction_pb2.ChaincodeActionPayload(chaincode_proposal_payload=request)
        payload.action.proposal_response_payload = answer
        for msp in endorsers:
            peer = self.peers[msp]
            signed = b"something else" if msp in forgers else answer + peer.serialized
            payload.action.endorsements.add(endorser=peer.serialized, signature=sign(peer.key, signed))
        transaction = transaction_pb2.Transaction()
        transaction.actions.add(header=header.signature_header, payload=payload.SerializeToString())
        return signed_envelope(header, transaction.SerializeToString(), self.clients[stub.creator])

    def append(self, envelopes: Sequence[bytes], codes: Sequence[int] | None = None) -> None:
        """Order envelopes into the next block and apply what is valid."""
        number = len(self.blocks)
        codes = [VALID] * len(envelopes) if codes is None else codes
        block = common_pb2.Block(
            header=common_pb2.BlockHeader(number=number), data=common_pb2.BlockData(data=list(envelopes))
        )
        block.metadata.metadata.extend([b"", b"", bytes(codes), b"", b""])
        self.blocks.append(bytes(block.SerializeToString()))
        for update in _updates(block):
            key = update.key.decode()
            if update.value is None:
                self.world.pop(key, None)
                self.versions.pop(key, None)
            else:
                self.world[key] = update.value
                self.versions[key] = update.version
        self.reseal(number)

    # --- what colluding orderers can do

    def reseal(self, number: int, signers: Sequence[str] = MSPS) -> None:
        """Hash, link, sign and commit every block from ``number`` on again, so that nothing else is wrong."""
        for index in range(max(number, 1), len(self.blocks)):
            block, previous = parse_block(self.blocks[index]), parse_block(self.blocks[index - 1])
            block.header.previous_hash = header_hash(previous.header)
            block.header.data_hash = data_hash(block.data)
            committed = commit_hash(
                validation_codes(block), state_updates_bytes(_updates(block)), recorded_commit_hash(previous)
            )
            block.metadata.metadata[common_pb2.SIGNATURES] = self.signatures(block, signers, self._last_config(index))
            block.metadata.metadata[common_pb2.COMMIT_HASH] = common_pb2.Metadata(value=committed).SerializeToString()
            self.blocks[index] = bytes(block.SerializeToString())

    def _last_config(self, number: int) -> int:
        return next(
            index for index in range(number, -1, -1) if index == 0 or is_config(parse_block(self.blocks[index]))
        )

    def reconfigure(self, config: Any, update: Any, signers: Sequence[Actor]) -> None:
        """Order a configuration that ``update`` makes of the newest one, signed by ``signers``."""
        signed = configtx_pb2.ConfigUpdateEnvelope(config_update=update.SerializeToString(deterministic=True))
        for actor in signers:
            header = common_pb2.SignatureHeader(creator=actor.creator, nonce=b"nonce").SerializeToString()
            signed.signatures.add(signature_header=header, signature=sign(actor.key, header + signed.config_update))
        asked = envelope_of(common_pb2.CONFIG_UPDATE, self.now, b"", b"", "", signed.SerializeToString(), None)
        envelope = configtx_pb2.ConfigEnvelope(config=config, last_update=common_pb2.Envelope.FromString(asked))
        content = envelope.SerializeToString(deterministic=True)
        self.append([envelope_of(common_pb2.CONFIG, self.now, b"", b"", "", content, None)])

    def signatures(self, block: Any, signers: Sequence[str], last_config: int = 0) -> bytes:
        """The SIGNATURES metadata of a block."""
        value = common_pb2.OrdererBlockMetadata(last_config=common_pb2.LastConfig(index=last_config))
        metadata = common_pb2.Metadata(value=value.SerializeToString())
        for msp in signers:
            number = MSPS.index(msp) + 1
            header = common_pb2.IdentifierHeader(identifier=number, nonce=bytes([number])).SerializeToString()
            signature = sign(self.orderers[msp].key, signed_block_bytes(metadata.value, header, block.header))
            metadata.signatures.add(identifier_header=header, signature=signature)
        return bytes(metadata.SerializeToString())

    def change(self, number: int, change: Callable[[Any], None], *, resealed: bool = True) -> None:
        """Change a block; then, unless the orderers are honest, seal it and all later ones again."""
        block = parse_block(self.blocks[number])
        change(block)
        self.blocks[number] = bytes(block.SerializeToString())
        if resealed:
            self.reseal(number)

    # --- what colluding endorsers and clients can do

    def change_result(
        self,
        number: int,
        change: Callable[[Any, Any], None],
        endorsers: Sequence[str] = MSPS,
        forgers: Sequence[str] = (),
        chaincode: str = CHAINCODE,
    ) -> None:
        """Replace what the transaction of a block did: ``change(action, kv_rwset)``; client and orderers collude."""
        block = parse_block(self.blocks[number])
        original = EndorserTransaction.parse(block.data.data[0])
        answer = proposal_response_pb2.ProposalResponsePayload.FromString(original.proposal_response_payload)
        action = proposal_pb2.ChaincodeAction.FromString(answer.extension)
        results = rwset_pb2.TxReadWriteSet.FromString(action.results)
        rwset = kv_rwset_pb2.KVRWSet.FromString(results.ns_rwset[0].rwset)
        change(action, rwset)
        results.ns_rwset[0].rwset = rwset.SerializeToString()
        action.results = results.SerializeToString()
        stub = ReplayStub(
            world={},
            transaction_id=original.transaction_id,
            channel_id=CHANNEL,
            function=original.function,
            arguments=original.arguments[1:],
            creator=original.creator,
            timestamp=original.header.timestamp_ns // 10**9,
        )
        envelope = self.envelope(stub, original.header.nonce, action, endorsers, forgers, chaincode=chaincode)
        self.change(number, lambda changed: changed.data.data.__setitem__(0, envelope))

    def block_of(self, function: str, nth: int = 0) -> int:
        """The number of the nth block whose transaction calls ``function``."""
        numbers = [
            number
            for number, block in enumerate(self.blocks)
            if number and EndorserTransaction.parse(parse_block(block).data.data[0]).function == function
        ]
        return numbers[nth]


def _updates(block: Any) -> list[StateUpdate]:
    updates: dict[str, StateUpdate] = {}
    if is_config(block):
        return []
    for place, (envelope, code) in enumerate(zip(block.data.data, validation_codes(block), strict=True)):
        if code != VALID:
            continue
        for entry in EndorserTransaction.parse(envelope).read_write_sets:
            for write in entry.writes:
                version = Version(block.header.number, place)
                updates[write.key] = StateUpdate(entry.namespace, write.key.encode(), write.value, version)
    return list(updates.values())
