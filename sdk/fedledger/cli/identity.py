"""``fedledger identity``: keys and certificates, by the organisation's Fabric CA."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from cryptography.hazmat.primitives import hashes

from fedledger.cli.output import Format, facts, say, show
from fedledger.cli.session import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    ProfileOption,
    TaskArgument,
    chosen_profile,
)
from fedledger.errors import BadInputError
from fedledger.identity.authority import NodeRole, certificate_attributes
from fedledger.identity.files import read_private, write_atomic, write_private
from fedledger.identity.profile import Profile, load_profile, update_profiles
from fedledger.identity.wallet import CERTIFICATE_FILE, KEY_FILE, Credentials, Wallet
from fedledger_chaincode.transactions.context import ROLE_ATTRIBUTE, ROLES

if TYPE_CHECKING:
    from fedledger.identity.ca import FabricCa

app = typer.Typer(help="Keys and certificates, by the organisation's Fabric CA.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="The identity's name at the CA.", metavar="NAME")]


@app.command()
def register(
    name: NameArgument,
    role: Annotated[str, typer.Option("--role", help=f"What the ledger knows it as: {', '.join(ROLES)}.")],
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help="Write the secret there, mode 0600, instead of printing it.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make an identity known to the CA, which gives the secret with which its owner enrols (registrar)."""
    from fedledger.identity.ca import Registration

    if role not in ROLES:
        raise BadInputError("BAD_ROLE", f"There is no role {role!r}.", f"Choose one of: {', '.join(ROLES)}.")
    acting = chosen_profile(config, profile)
    node_role = NodeRole.ADMIN if role == "governor" else NodeRole.CLIENT
    secret = _authority(acting).register(acting.credentials(), Registration(name, node_role, {ROLE_ATTRIBUTE: role}))
    document = {"name": name, "role": role}
    if secret_file is None:
        document["secret"] = secret
        hand_over = f"the secret: {secret}"
    else:
        write_private(secret_file, secret.encode())
        document["secret_file"] = str(secret_file)
        hand_over = f"the secret in {secret_file}"
    show(document, f"{name} is registered as {role}. Its owner enrols once with {hand_over}", output)


@app.command()
def enroll(
    name: NameArgument,
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help="File with the registrar's secret; else it is asked for.")
    ] = None,
    secret: Annotated[
        str | None, typer.Option("--secret", envvar="FEDLEDGER_SECRET", help="Seen by whoever lists processes.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make a key and get its certificate into the files that the profile names."""
    acting = chosen_profile(config, profile)
    wallet = _wallet(acting)
    if wallet.exists():
        raise BadInputError(
            "ALREADY_ENROLLED",
            f"{wallet.folder} holds an identity already.",
            "Renew it with `fedledger identity reenroll`, or name other files in the profile.",
        )
    given = read_private(secret_file).decode().strip() if secret_file else secret
    credentials = _authority(acting).enroll(name, given or typer.prompt("Secret", hide_input=True, err=True))
    wallet.save(credentials)
    _shown(acting, credentials, output)


@app.command()
def reenroll(
    config: ConfigOption = DEFAULT_CONFIG, profile: ProfileOption = None, output: FormatOption = Format.TEXT
) -> None:
    """Renew the profile's certificate, with a new key.

    A participant joined its tasks with the old key and joins them anew under the new one.
    """
    acting = chosen_profile(config, profile)
    credentials = _authority(acting).reenroll(acting.credentials())
    _wallet(acting).save(credentials)
    _shown(acting, credentials, output)


@app.command()
def pseudonym(
    task: TaskArgument,
    base: Annotated[str, typer.Option("--for", help="The participant's profile; the new one is made after it.")],
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Give a participant a key, a name and a certificate for one task alone (registrar).

    The name is random and the certificate says nothing but the role, so that nobody outside the organisation can tell
    who takes part in two tasks. Its CA can: it issued both.
    """
    from fedledger.agents.participant import pseudonym_of
    from fedledger.identity.ca import Registration

    acting, known = chosen_profile(config, profile), load_profile(config, base)
    name = f"{base}-{task}"
    wallet = Wallet(known.certificate.parent.with_name(f"{known.certificate.parent.name}-{task}"))
    if wallet.exists():
        raise BadInputError(
            "ALREADY_ENROLLED", f"{wallet.folder} holds an identity already.", f"Use it: --profile {name}."
        )
    authority, random_name = _authority(acting), f"p-{secrets.token_hex(16)}"
    registration = Registration(random_name, NodeRole.CLIENT, {ROLE_ATTRIBUTE: "participant"})
    secret = authority.register(acting.credentials(), registration)
    credentials = authority.enroll(random_name, secret, attributes=[ROLE_ATTRIBUTE])
    wallet.save(credentials)
    journal = known.participant or known.certificate.parent / "participant"
    made = replace(
        known,
        name=name,
        certificate=wallet.certificate_path,
        key=wallet.key_path,
        participant=journal.with_name(f"{journal.name}-{task}"),
    )
    update_profiles(config, [made])
    participant = pseudonym_of(credentials.key)
    show(
        {"profile": name, "participant": participant, "certificate": str(wallet.certificate_path), "name": random_name},
        f"Participant {participant}; use it in {task} alone, with --profile {name}. What it is called at the CA, "
        f"{random_name}, is for the organisation's own records.",
        output,
    )


@app.command("show")
def show_identity(
    config: ConfigOption = DEFAULT_CONFIG, profile: ProfileOption = None, output: FormatOption = Format.TEXT
) -> None:
    """Show the profile's certificate: who, what role, until when."""
    acting = chosen_profile(config, profile)
    _shown(acting, acting.credentials(), output)


@app.command()
def revoke(
    name: NameArgument,
    reason: Annotated[str, typer.Option("--reason", help="As RFC 5280, 5.3.1 names it.")] = "unspecified",
    crl: Annotated[Path, typer.Option("--crl", help="Where to write the new revocation list.")] = Path("crl.pem"),
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Revoke an identity's certificates and write the new revocation list (registrar).

    Peers refuse the certificates once the list is in the channel's configuration.
    """
    acting = chosen_profile(config, profile)
    authority = _authority(acting)
    registrar = acting.credentials()
    revoked = authority.revoke(registrar, name, reason)
    write_atomic(crl, authority.revocation_list(registrar))
    show(
        {"name": name, "serials": [certificate.serial for certificate in revoked], "crl": str(crl)},
        f"Revoked {len(revoked)} certificates of {name}; the new revocation list is in {crl}.",
        output,
    )
    say(f"Peers refuse them once a governor has run: fedledger network revocations {crl}")


def _authority(profile: Profile) -> FabricCa:
    if profile.ca is None:
        raise BadInputError(
            "PROFILE_MALFORMED", f"Profile {profile.name} names no Fabric CA.", 'Add ca = "https://HOST:PORT".'
        )
    return profile.certificate_authority()


def _wallet(profile: Profile) -> Wallet:
    folder = profile.certificate.parent
    if (profile.certificate.name, profile.key) != (CERTIFICATE_FILE, folder / KEY_FILE):
        raise BadInputError(
            "PROFILE_MALFORMED",
            f"Profile {profile.name} does not keep certificate and key in one wallet folder.",
            f"Name them FOLDER/{CERTIFICATE_FILE} and FOLDER/{KEY_FILE}.",
        )
    return Wallet(folder)


def _shown(profile: Profile, credentials: Credentials, output: Format) -> None:
    certificate = credentials.certificate
    expires = certificate.not_valid_after_utc
    document = {
        "profile": profile.name,
        "msp": profile.msp_id,
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "role": certificate_attributes(certificate).get(ROLE_ATTRIBUTE, ""),
        "serial": f"{certificate.serial_number:x}",
        "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(),
        "not_after": expires.isoformat(),
        "expired": expires < datetime.now(UTC),
    }
    show(document, facts(document), output)
