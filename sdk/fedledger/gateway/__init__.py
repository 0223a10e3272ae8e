"""The client of a Fabric gateway: evaluate, submit, follow events and read blocks; holds no private key.

The nouns and names are those of Hyperledger's fabric-gateway clients in Python's spelling. Fabric's block format
is in ``fedledger.gateway.blocks``.
"""

from fedledger.gateway.chaincode_event import ChaincodeEvent
from fedledger.gateway.channel import open_channel, tls_certificate_hash
from fedledger.gateway.checkpointer import Checkpoint, FileCheckpointer, InMemoryCheckpointer
from fedledger.gateway.commit import Commit, Status, SubmittedTransaction
from fedledger.gateway.contract import Contract
from fedledger.gateway.deadlines import Deadlines
from fedledger.gateway.errors import (
    BlockFormatError,
    CommitError,
    CommitStatusError,
    EndorseError,
    ErrorDetail,
    EvaluateError,
    EventsError,
    GatewayError,
    SigningError,
    SubmitError,
)
from fedledger.gateway.event_stream import CloseableIterator
from fedledger.gateway.events import BlockEventsRequest, ChaincodeEventsRequest, FilteredBlockEventsRequest
from fedledger.gateway.gateway import Gateway, connect
from fedledger.gateway.identity import Hash, Identity, Signer, sha256, unhashed
from fedledger.gateway.network import Network
from fedledger.gateway.proposal import Proposal
from fedledger.gateway.signers import new_private_key_signer
from fedledger.gateway.transaction import Transaction

__all__ = [
    "BlockEventsRequest",
    "BlockFormatError",
    "ChaincodeEvent",
    "ChaincodeEventsRequest",
    "Checkpoint",
    "CloseableIterator",
    "Commit",
    "CommitError",
    "CommitStatusError",
    "Contract",
    "Deadlines",
    "EndorseError",
    "ErrorDetail",
    "EvaluateError",
    "EventsError",
    "FileCheckpointer",
    "FilteredBlockEventsRequest",
    "Gateway",
    "GatewayError",
    "Hash",
    "Identity",
    "InMemoryCheckpointer",
    "Network",
    "Proposal",
    "Signer",
    "SigningError",
    "Status",
    "SubmitError",
    "SubmittedTransaction",
    "Transaction",
    "connect",
    "new_private_key_signer",
    "open_channel",
    "sha256",
    "tls_certificate_hash",
    "unhashed",
]
