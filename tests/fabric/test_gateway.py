"""Our gateway client against Fabric's own gateway, where a real peer decides what becomes of each step."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from fedledger.gateway import (
    CommitError,
    Contract,
    EndorseError,
    EvaluateError,
    Gateway,
    Identity,
    Network,
    connect,
    new_private_key_signer,
    open_channel,
)
from fedledger.gateway.envelopes import EndorserTransaction
from fedledger.identity.authority import NodeRole
from fedledger.identity.keys import KeyType, generate_key
from fedledger.identity.msp import parse_serialized_identity
from fedledger.identity.profile import load_profile
from fedledger.identity.wallet import Credentials
from fedledger_chaincode.messages.round import JoinRequest
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.organisation import ROLE_ATTRIBUTE, authority_folder
from fedledger_network.fabric import FabricNetwork
from tests.fabric.ledger import CHAINCODE, channel, repeated
from tests.unit.contract.ledger import MSPS, task_spec

pytestmark = pytest.mark.fabric


@pytest.fixture(scope="module")
def governed(network: FabricNetwork) -> Iterator[Network]:
    """The channel as a governor of Cleveland sees it."""
    with channel(network, "cleveland-governor") as opened:
        yield opened


@pytest.fixture(scope="module")
def contract(governed: Network) -> Contract:
    return governed.get_contract(CHAINCODE)


def specification(name: str | None = None) -> bytes:
    return task_spec(task=name or f"task-{secrets.token_hex(5)}").canonical()


def endorsers(transaction: EndorserTransaction) -> list[str]:
    return sorted(parse_serialized_identity(each.endorser)[0] for each in transaction.endorsements)


def opened_by(network: FabricNetwork, stack: ExitStack, credentials: Credentials, msp: str, peer: str) -> Gateway:
    profile = load_profile(network.layout.profiles, f"{peer}-auditor")
    assert profile.tls_roots is not None
    return stack.enter_context(
        connect(
            Identity(msp, credentials.certificate_pem),
            new_private_key_signer(credentials.key),
            open_channel(profile.gateway, profile.tls_roots.read_bytes()),
            close_connection=True,
        )
    )


def test_the_gateway_collects_just_enough_endorsements_by_itself(contract: Contract) -> None:
    transaction = contract.new_proposal("ProposeTask", arguments=[specification()]).endorse()
    assert len(set(endorsers(transaction.content))) == 3


def test_named_organisations_endorse_and_no_others(contract: Contract) -> None:
    named = [MSPS[1], MSPS[2], MSPS[3]]
    transaction = contract.new_proposal(
        "ProposeTask", arguments=[specification()], endorsing_organizations=named
    ).endorse()
    assert endorsers(transaction.content) == sorted(named)
    assert transaction.submit().status().successful


def test_too_few_endorsing_organisations_are_found_out_when_the_block_is_validated(contract: Contract) -> None:
    with pytest.raises(CommitError) as invalid:
        contract.submit_transaction("ProposeTask", specification(), endorsing_organizations=[MSPS[0], MSPS[1]])
    assert invalid.value.code == "ENDORSEMENT_POLICY_FAILURE"


def test_of_two_transactions_that_read_the_same_version_one_is_invalid(contract: Contract) -> None:
    task = f"task-{secrets.token_hex(5)}"
    first, second = (contract.new_proposal("ProposeTask", arguments=[specification(task)]).endorse() for _ in range(2))
    submitted = [first.submit(), second.submit()]
    codes = sorted(each.status().code_name for each in submitted)
    assert codes == ["MVCC_READ_CONFLICT", "VALID"]


def test_a_transaction_submitted_twice_is_committed_once(contract: Contract) -> None:
    transaction = contract.new_proposal("ProposeTask", arguments=[specification()]).endorse()
    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(lambda _: transaction.submit().status(), range(2)))
    assert [status.successful for status in statuses] == [True, True]
    assert len({status.block_number for status in statuses}) == 1


def test_every_step_can_be_signed_elsewhere(network: FabricNetwork) -> None:
    profile = load_profile(network.layout.profiles, "long_beach-governor")
    assert profile.tls_roots is not None
    credentials = profile.credentials()
    sign = new_private_key_signer(credentials.key)
    opened = open_channel(profile.gateway, profile.tls_roots.read_bytes())
    with connect(Identity(profile.msp_id, credentials.certificate_pem), None, opened, close_connection=True) as gateway:
        offline = gateway.get_network(profile.channel)
        proposal = offline.get_contract(CHAINCODE).new_proposal("ProposeTask", arguments=[specification()])
        signed = gateway.new_signed_proposal(proposal.get_bytes(), sign(proposal.get_digest()))
        transaction = signed.endorse()
        ready = gateway.new_signed_transaction(transaction.get_bytes(), sign(transaction.get_digest()))
        commit = ready.submit()
        status = gateway.new_signed_commit(commit.get_bytes(), sign(commit.get_digest())).status()
        assert status.successful
        request = offline.new_chaincode_events_request(CHAINCODE, start_block=status.block_number)
        with gateway.new_signed_chaincode_events_request(
            request.get_bytes(), sign(request.get_digest())
        ).get_events() as events:
            assert next(event for event in events if event.transaction_id == transaction.transaction_id)
        blocks = offline.new_block_events_request(start_block=status.block_number, end_block=status.block_number)
        with gateway.new_signed_block_events_request(
            blocks.get_bytes(), sign(blocks.get_digest())
        ).get_events() as delivered:
            assert [block.header.number for block in delivered] == [status.block_number]


def test_filtered_blocks_tell_transactions_and_codes_only(governed: Network, contract: Contract) -> None:
    submitted = contract.submit_async("ProposeTask", specification())
    number = submitted.status().block_number
    with governed.filtered_block_events(start_block=number, end_block=number) as blocks:
        (block,) = list(blocks)
    assert submitted.transaction_id in {each.txid for each in block.filtered_transactions}


def test_a_member_may_use_the_peer_of_another_organisation(network: FabricNetwork) -> None:
    credentials = load_profile(network.layout.profiles, "hungary-governor").credentials()
    with ExitStack() as stack:
        gateway = opened_by(network, stack, credentials, "HungaryMSP", "switzerland")
        contract = gateway.get_network("fedledger").get_contract(CHAINCODE)
        assert repeated(lambda: contract.submit_transaction("ProposeTask", specification()))


@pytest.mark.parametrize("key_type", list(KeyType))
def test_every_kind_of_key_signs_transactions(network: FabricNetwork, contract: Contract, key_type: KeyType) -> None:
    task = f"task-{secrets.token_hex(5)}"
    repeated(lambda: contract.submit_transaction("ProposeTask", specification(task)))
    key = generate_key(key_type)
    folder = authority_folder(network.layout.organisation("cleveland").identities)
    authority = DevelopmentAuthority.open(folder, "ClevelandMSP")
    try:
        with authority.registry.transaction():
            certificate = authority.sign_identity(
                key.public_key(), "bob", [NodeRole.CLIENT], {ROLE_ATTRIBUTE: "participant"}
            )
    finally:
        authority.close()
    with ExitStack() as stack:
        gateway = opened_by(network, stack, Credentials(certificate, key), "ClevelandMSP", "cleveland")
        own = gateway.get_network("fedledger").get_contract(CHAINCODE)
        with pytest.raises(EndorseError) as refused:  # by the contract: the peers have accepted the signature
            own.submit_transaction("JoinTask", JoinRequest(task=task).canonical())
    assert refused.value.contract_error is not None
    assert refused.value.contract_error.status in (404, 409)


def test_a_certificate_of_a_foreign_authority_is_refused(network: FabricNetwork) -> None:
    credentials = load_profile(network.layout.profiles, "hungary-governor").credentials()
    with ExitStack() as stack:
        gateway = opened_by(network, stack, credentials, "ClevelandMSP", "cleveland")
        own = gateway.get_network("fedledger").get_contract(CHAINCODE)
        with pytest.raises(EvaluateError, match="access denied"):
            own.evaluate_transaction("ListTasks")
        with pytest.raises(EndorseError, match="access denied"):
            own.submit_transaction("ProposeTask", specification())


def test_too_large_arguments_are_refused_before_they_are_ordered(contract: Contract) -> None:
    with pytest.raises(EndorseError) as refused:
        contract.submit_transaction("ProposeTask", b"x" * (9 << 20))
    assert refused.value.code == "ARGUMENTS_TOO_LARGE"


def test_an_unknown_chaincode_and_an_unknown_channel_are_told_apart(network: FabricNetwork, governed: Network) -> None:
    with pytest.raises(EvaluateError, match="nothing"):
        governed.get_contract("nothing").evaluate_transaction("ListTasks")
    profile = load_profile(network.layout.profiles, "cleveland-governor")
    with profile.connect() as gateway, pytest.raises(EvaluateError, match="elsewhere"):
        gateway.get_network("elsewhere").get_contract(CHAINCODE).evaluate_transaction("ListTasks")


def test_a_hundred_submissions_at_once_do_not_disturb_each_other(contract: Contract) -> None:
    with ThreadPoolExecutor(50) as pool:
        submitted = list(pool.map(lambda _: contract.submit_async("ProposeTask", specification()), range(100)))
        assert all(pool.map(lambda each: each.status().successful, submitted))
