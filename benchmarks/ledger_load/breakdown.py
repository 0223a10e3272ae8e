"""What CPU time is spent on: stacks of functions sorted into kinds of work, by the innermost rule that fits a stack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ledger_load.go_profile import Stack


@dataclass(frozen=True)
class Rule:
    """A kind of work, and parts of names of functions that do it."""

    work: str
    marks: Sequence[str]

    def fits(self, stack: Stack) -> bool:
        """Whether some function of the stack is one of these."""
        return any(mark in function for function in stack.functions for mark in self.marks)


SIGNATURES = "checking signatures"
GO_WORK = (
    Rule(SIGNATURES, ("crypto/ecdsa.Verify", "crypto/x509.(*Certificate).CheckSignature")),
    Rule("signing", ("crypto/ecdsa.Sign", "crypto/ecdsa.(*PrivateKey).Sign")),
    Rule("garbage collection", ("runtime.gcBgMarkWorker", "runtime.gcAssist", "runtime.bgsweep", "runtime.gcStart")),
    Rule("logging", ("go.uber.org/zap",)),
    Rule("certificates and policies", ("crypto/x509.", "encoding/asn1.", "encoding/pem.", "hyperledger/fabric/msp")),
    Rule("TLS", ("crypto/tls.",)),
    Rule("gRPC and HTTP/2", ("golang.org/x/net/http2", "google.golang.org/grpc/internal/transport")),
    Rule("ledger and state database", ("goleveldb", "core/ledger/", "common/ledger/")),
    Rule("gossip", ("fabric/gossip/gossip", "fabric/gossip/comm", "fabric/gossip/discovery")),
    Rule("consensus", ("SmartBFT", "orderer/consensus/smartbft")),
    Rule("chaincode messages", ("fabric/core/chaincode",)),
    Rule("transactions otherwise", ("hyperledger/fabric",)),
)
"""Kinds of work of peers and orderers; the first that fits counts."""
GO_SIGNATURES = (
    Rule("of clients, when a peer is asked to endorse", ("core/endorser", "core/aclmgmt")),
    Rule("of clients and endorsers, when a peer validates a block", ("txvalidator",)),
    Rule("of orderers, when a peer or an orderer takes a block", ("common/deliverclient", "deliverservice")),
    Rule("of peers, in gossip", ("fabric/gossip",)),
    Rule(
        "of clients, when an orderer takes a transaction", ("orderer/common/msgprocessor", "orderer/common/broadcast")
    ),
    Rule("of clients and orderers, in consensus", ("SmartBFT", "orderer/consensus/smartbft")),
)
"""Whose signatures are checked, and when."""
GRPC_THREADS = "threads of gRPC's C library"
PYTHON_WORK = (
    Rule("gRPC's own threads: TLS and HTTP/2", (GRPC_THREADS,)),
    Rule(SIGNATURES, ("fedledger_chaincode/signatures.py:",)),
    Rule("contract: decoding and encoding", ("fedledger_chaincode/messages/",)),
    Rule("chaincode messages", ("fedledger_chaincode/service/exchange.py:", "fedledger_chaincode/service/stub.py:")),
    Rule("contract: everything else", ("fedledger_chaincode/contract.py:",)),
    Rule("gRPC and threads", ("/grpc/", "concurrent/futures/", "fedledger_chaincode/service/", "/threading.py:")),
)
"""Kinds of work of the contract's services."""
OTHER = "everything else"


def parts(rules: Sequence[Rule], stacks: Iterable[Stack]) -> dict[str, float]:
    """Which part of the stacks' CPU time each kind of work has."""
    seconds: dict[str, float] = defaultdict(float)
    for stack in stacks:
        seconds[next((rule.work for rule in rules if rule.fits(stack)), OTHER)] += stack.seconds
    total = sum(seconds.values())
    return {work: spent / total for work, spent in seconds.items()} if total else {}


def only(rule: Rule, stacks: Iterable[Stack]) -> list[Stack]:
    """The stacks that a rule fits."""
    return [stack for stack in stacks if rule.fits(stack)]


def table(columns: Mapping[str, Mapping[str, float]], units: int) -> list[str]:
    """Lines of a table of CPU milliseconds per unit, from seconds by program and kind of work."""
    sums: dict[str, float] = defaultdict(float)
    for column in columns.values():
        for work, seconds in column.items():
            sums[work] += seconds
    total = sum(sums.values())
    lines = [f"  {'':62}{''.join(f'{name:>10}' for name in columns)}{'all':>10}  part"]
    for work, seconds in sorted(sums.items(), key=lambda each: -each[1]):
        cells = [column.get(work, 0.0) for column in columns.values()]
        lines.append(f"  {work:62}{_cells([*cells, seconds], units)} {seconds / total:5.0%}")
    return [*lines, f"  {'all':62}{_cells([*(sum(each.values()) for each in columns.values()), total], units)}"]


def _cells(seconds: Sequence[float], units: int) -> str:
    return "".join(f"{1000 * each / units:10.2f}" for each in seconds)
