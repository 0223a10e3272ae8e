"""A new channel configuration counts when the one before it authorises it, and then its revocations are honoured."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fabric_protos.common import configtx_pb2
from fabric_protos.msp import msp_config_pb2

from fedledger.audit import CheckName, GenesisError, verify
from fedledger.audit.channel import ChannelConfig
from fedledger.audit.report import Outcome
from fedledger.gateway.blocks import parse_block
from fedledger.identity.authority import Revocation, certificate_pem, load_certificate
from fedledger.identity.msp import Msp, parse_serialized_identity
from tests.unit.audit.block_ledger import VALID, BlockLedger
from tests.unit.audit.members import TrainingConsortium
from tests.unit.contract.ledger import CHANNEL, MSPS, START, Actor

BAD_CREATOR_SIGNATURE = 4
HOME = MSPS[0]


def revoking(ledger: BlockLedger, actor: Actor) -> tuple[Any, Any]:
    """The configuration in which an organisation has revoked a certificate, and the update that leads to it."""
    now = datetime.fromtimestamp(START, UTC)
    serial = load_certificate(parse_serialized_identity(actor.creator)[1]).serial_number
    authority = ledger.authorities[HOME]
    crl = authority.revocation_list([Revocation(serial, now)], now, timedelta(days=30), 1)
    msp = Msp(HOME, (certificate_pem(authority.certificate),), revocation_list=(crl,))
    return changed(ledger.configuration(), msp_config_pb2.MSPConfig(type=0, config=msp.to_proto()).SerializeToString())


def changed(config: Any, msp: bytes) -> tuple[Any, Any]:
    """``config`` with another MSP of the home organisation, in both sections, and the update."""
    update = configtx_pb2.ConfigUpdate(channel_id=CHANNEL)
    for section in ("Application", "Orderer"):
        group = config.channel_group.groups[section].groups[HOME]
        group.values["MSP"].value = msp
        group.values["MSP"].version += 1
        for tree in (update.read_set, update.write_set):
            tree.groups[section].groups[HOME].SetInParent()
        update.write_set.groups[section].groups[HOME].values["MSP"].CopyFrom(group.values["MSP"])
    config.sequence += 1
    return config, update


class TestARevocation:
    def test_holds_from_its_block_on(self, members: TrainingConsortium) -> None:
        ledger, governor = members.ledger, members.governors[HOME]
        ledger.submit(governor, "Transfer", f"org:{MSPS[1]}", 5)
        ledger.reconfigure(*revoking(ledger, governor), [ledger.admin(HOME)])
        refused = ledger.endorse(governor, "Transfer", f"org:{MSPS[1]}", 5)[1]
        ledger.append([refused], [BAD_CREATOR_SIGNATURE])
        ledger.submit(members.governors[MSPS[1]], "Transfer", f"org:{HOME}", 5)
        report = verify(ledger.blocks)
        assert report.ok and report.check("channel configuration").count == 2

    def test_is_not_to_be_overlooked(self, members: TrainingConsortium) -> None:
        ledger, governor = members.ledger, members.governors[HOME]
        ledger.reconfigure(*revoking(ledger, governor), [ledger.admin(HOME)])
        number = len(ledger.blocks)
        ledger.append([ledger.endorse(governor, "Transfer", f"org:{MSPS[1]}", 5)[1]], [VALID])
        report = verify(ledger.blocks)
        assert report.check(CheckName.CREATORS.value).first_bad_block == number
        assert "revoked" in report.check(CheckName.CREATORS.value).detail

    def test_by_nobody_is_refused(self, members: TrainingConsortium) -> None:
        assert _refusal(members, lambda ledger: []) == "/Channel/Application/ClevelandMSP/Admins demands"

    def test_by_another_organisation_is_refused(self, members: TrainingConsortium) -> None:
        assert "Admins demands" in _refusal(members, lambda ledger: [ledger.admin(MSPS[1])])

    def test_by_an_ordinary_member_is_refused(self, members: TrainingConsortium) -> None:
        assert "Admins demands" in _refusal(members, lambda ledger: [members.participants[HOME]])


def _skip_version(config: Any, update: Any) -> None:
    config.sequence += 1


def _stale(config: Any, update: Any) -> None:
    update.read_set.version = 1


def _other_channel(config: Any, update: Any) -> None:
    update.channel_id = "another"


def _more_than_asked(config: Any, update: Any) -> None:
    config.channel_group.groups["Application"].policies["Endorsement"].CopyFrom(
        config.channel_group.groups["Application"].groups[HOME].policies["Endorsement"]
    )


def _nothing(config: Any, update: Any) -> None:
    update.write_set.CopyFrom(update.read_set)


def _two_versions(config: Any, update: Any) -> None:
    update.write_set.groups["Application"].groups[HOME].values["MSP"].version = 2


def _new_at_two(config: Any, update: Any) -> None:
    update.write_set.groups["Application"].groups[HOME].values["Other"].version = 2


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_skip_version, "sequence 2 follows 0"),
        (_stale, "made for another version of group /Channel"),
        (_other_channel, "for channel another"),
        (_more_than_asked, "not the configuration before it with the update applied"),
        (_nothing, "changes nothing"),
        (_two_versions, "version 2 of value /Channel/Application/ClevelandMSP/MSP follows 0"),
        (_new_at_two, "begins at version 2"),
    ],
)
def test_an_update_must_be_exactly_what_was_signed(
    members: TrainingConsortium, spoil: Callable[[Any, Any], None], reason: str
) -> None:
    ledger = members.ledger
    config, update = revoking(ledger, members.governors[HOME])
    spoil(config, update)
    number = len(ledger.blocks)
    ledger.reconfigure(config, update, [ledger.admin(HOME)])
    check = verify(ledger.blocks).check(CheckName.CONFIGURATION.value)
    assert check.outcome is Outcome.FAILED and check.first_bad_block == number
    assert reason in check.detail


def _refusal(members: TrainingConsortium, signers: Callable[[BlockLedger], list[Actor]]) -> str:
    ledger = members.ledger
    number = len(ledger.blocks)
    ledger.reconfigure(*revoking(ledger, members.governors[HOME]), signers(ledger))
    check = verify(ledger.blocks).check(CheckName.CONFIGURATION.value)
    assert check.outcome is Outcome.FAILED and check.first_bad_block == number
    return check.detail.rsplit(" as ", 1)[-1]


class TestAConfiguration:
    def test_is_refused_when_a_part_of_it_is_missing(self, audited: TrainingConsortium) -> None:
        for part in ("Application", "Orderer"):
            config = audited.ledger.configuration()
            del config.channel_group.groups[part]
            with pytest.raises(GenesisError, match="BAD_CONFIGURATION"):
                ChannelConfig.from_config(CHANNEL, config)

    def test_is_refused_when_an_organisation_is_defined_in_two_ways(self, audited: TrainingConsortium) -> None:
        config = audited.ledger.configuration()
        other = config.channel_group.groups["Orderer"].groups[HOME].values["MSP"]
        stranger = BlockLedger().configuration().channel_group.groups["Orderer"].groups[HOME]
        other.CopyFrom(stranger.values["MSP"])
        with pytest.raises(GenesisError, match="two different definitions"):
            ChannelConfig.from_config(CHANNEL, config)

    def test_is_refused_when_its_genesis_block_was_changed(self, members: TrainingConsortium) -> None:
        block = parse_block(members.ledger.blocks[0])
        block.data.data[0] += b"\0"
        with pytest.raises(GenesisError, match="NOT_GENESIS"):
            verify([block.SerializeToString(), *members.ledger.blocks[1:]])
