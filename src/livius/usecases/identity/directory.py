"""The operator's changes to users, client applications and consents."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from livius.domain.accounts import (
    ClientApplication,
    ClientCertificate,
    ClientSecret,
    Consent,
    User,
    redirect_uri_fault,
)
from livius.domain.audit import Action
from livius.domain.digests import hash_drawn
from livius.domain.errors import Conflict, Invalid, NotFound
from livius.domain.ids import ClientId, PrincipalId, new_id
from livius.domain.messages import Message
from livius.domain.passwords import hash_password
from livius.domain.resources import RESOURCES
from livius.domain.tokens import Scope
from livius.ports.clock import Clock
from livius.ports.identity import Directory
from livius.usecases.audit_throttle import act
from livius.usecases.identity.scopes import permissions_of

DOMAIN: Final = "livius.localhost"
SHORTEST_PASSWORD: Final = 10

_LONGEST_PASSWORD: Final = 1024
_LONGEST_NAME: Final = 100
_USERNAME: Final = re.compile(
    r"[a-z0-9](?:[a-z0-9._+-]{0,62}[a-z0-9])?@[a-z0-9-]+(?:\.[a-z0-9-]+)+"
)
_HINT: Final = 3
_MOST: Final = 20
"""The limit for each kind of credential, as a secret is checked against all of them."""

Kept = TypeVar("Kept")


def new_password() -> str:
    """Return a password that is hard to guess and easy to type."""
    return "-".join(secrets.token_hex(2) for _ in range(5))


def full_username(text: str) -> str:
    """Return a username as it is stored; one without a domain gets ours."""
    plain = text.strip().lower()
    return plain if "@" in plain else f"{plain}@{DOMAIN}"


async def create_user(
    directory: Directory, clock: Clock, username: str, *, name: str, password: str
) -> User:
    """Create a user.

    A username without a domain gets ours.

    Raises:
        Invalid: username, name or password is invalid.
        Conflict: the username is taken.
    """
    username = full_username(username)
    if not _USERNAME.fullmatch(username):
        raise Invalid(
            "InvalidUsername",
            Message(
                "%(username)s can't be a username. It looks like ada or ada@example.org: small "
                "letters, digits and . _ + - before the @.",
                username=repr(username[:100]),
            ),
        )
    user = User(
        oid=PrincipalId(new_id()),
        username=username,
        name=_checked_name(name or username.partition("@")[0].capitalize()),
        password_hash=await _hashed(password),
        created_at=clock.now(),
    )
    entry = act(clock, Action.USER_CREATE, username, detail=user.oid)
    if not await directory.add_user(user, audit=entry):
        raise Conflict(
            "UsernameTaken", Message("There is a user %(username)s already.", username=username)
        )
    return user


async def find_user(directory: Directory, text: str) -> User:
    """Return the user with a username or an object id.

    Raises:
        NotFound: there is none.
    """
    found = await directory.user_named(full_username(text))
    if found is None:
        found = await directory.user(PrincipalId(text.strip().lower()))
    if found is None:
        raise NotFound(
            "UserNotFound", f"There is no user {text}. See them: livius identity user list"
        )
    return found


async def set_password(directory: Directory, clock: Clock, user: User, password: str) -> None:
    """Replace a password; all sign-ins with the old one end.

    Raises:
        Invalid: it is too short or too long.
    """
    entry = act(clock, Action.USER_CHANGE, user.username, detail="password")
    await directory.set_password(user.oid, await _hashed(password), audit=entry)


async def set_user_disabled(
    directory: Directory, clock: Clock, user: User, *, disabled: bool
) -> None:
    """Disable a user, or enable it again. Its roles and records stay.

    A disabled user's sign-ins end at once, and access tokens within
    `livius.usecases.identity.presence.BOUND`. Running sessions continue.
    """
    what = "disabled" if disabled else "enabled"
    entry = act(clock, Action.USER_CHANGE, user.username, detail=what)
    await directory.set_user_disabled(user.oid, clock.now() if disabled else None, audit=entry)


async def remove_user(directory: Directory, clock: Clock, user: User) -> None:
    """Delete a user with its rights, tokens and sign-ins.

    Running sessions continue. Access tokens end within `livius.usecases.identity.presence.BOUND`.
    """
    entry = act(clock, Action.USER_REMOVE, user.username, detail=user.oid)
    await directory.remove_user(user.oid, audit=entry)


async def create_application(
    directory: Directory,
    clock: Clock,
    name: str,
    *,
    public: bool,
    redirect_uris: Sequence[str],
    scopes: Sequence[str],
) -> ClientApplication:
    """Register a client application, without a credential yet.

    Raises:
        Invalid: the name, a redirect URI or a scope is invalid.
    """
    application = ClientApplication(
        client_id=ClientId(new_id()),
        name=_checked_name(name),
        object_id=new_id(),
        created_at=clock.now(),
        redirect_uris=tuple(_checked_uri(uri) for uri in redirect_uris),
        scopes=frozenset(_checked_scope(scope) for scope in scopes),
        public=public,
    )
    entry = act(clock, Action.APPLICATION_CREATE, _named(application))
    await directory.put_application(application, audit=entry)
    return application


async def find_application(directory: Directory, text: str) -> ClientApplication:
    """Return the application with a client id, or with a unique name.

    Raises:
        NotFound: there is none.
        Conflict: several have the name.
    """
    found = [
        one
        for one in await directory.applications()
        if text.strip().lower() in (one.client_id, one.name.lower())
    ]
    if not found:
        raise _no_application(text)
    if len(found) > 1:
        raise Conflict(
            "AmbiguousName",
            f"{len(found)} applications are called {text}. Give the client id: "
            f"{', '.join(one.client_id for one in found)}.",
        )
    return found[0]


async def own_application(directory: Directory, client_id: str) -> ClientApplication:
    """Return an application that may be changed: any but those that are ours.

    Raises:
        NotFound: there is none.
    """
    found = await directory.application(ClientId(client_id.lower()))
    if found is None or found.trusted:
        raise _no_application(client_id)
    return found


async def rename_application(
    directory: Directory, clock: Clock, application: ClientApplication, name: str
) -> ClientApplication:
    """Rename an application. Its ids stay the same. Raises: Invalid: the name is invalid."""
    plain = _checked_name(name)
    return await _changed(
        directory, clock, application, lambda known: replace(known, name=plain), f"called {plain}"
    )


async def remove_application(
    directory: Directory, clock: Clock, application: ClientApplication
) -> None:
    """Delete an application with its roles, tokens and consents.

    Its sessions continue. Access tokens end within `livius.usecases.identity.presence.BOUND`.

    Raises:
        NotFound: it was deleted at the same moment.
    """
    entry = act(clock, Action.APPLICATION_REMOVE, _named(application))
    if not await directory.remove_application(application.client_id, audit=entry):
        raise _no_application(application.client_id)


async def add_secret(
    directory: Directory, clock: Clock, application: ClientApplication
) -> tuple[ClientSecret, str]:
    """Add a secret to an application.

    Returns the stored record and the secret.

    Raises:
        Conflict: the application has the most that it may have.
    """
    value = secrets.token_urlsafe(32)
    kept = ClientSecret(
        id=new_id(),
        hint=value[:_HINT],
        hash=hash_drawn(value),
        created_at=clock.now(),
    )
    await _changed(
        directory,
        clock,
        application,
        lambda known: replace(known, secrets=_bounded((*known.secrets, kept), Message("secrets"))),
        f"secret {kept.id}",
        Action.CREDENTIAL_ADD,
    )
    return kept, value


async def add_certificate(
    directory: Directory,
    clock: Clock,
    application: ClientApplication,
    certificate: ClientCertificate,
) -> None:
    """Register a certificate of an application.

    Raises:
        Conflict: it is registered already, or the application has the most that it may have.
    """

    def change(known: ClientApplication) -> ClientApplication:
        if any(one.sha256 == certificate.sha256 for one in known.certificates):
            raise Conflict(
                "CertificateKnown", Message("The application has this certificate already.")
            )
        added = _bounded((*known.certificates, certificate), Message("certificates"))
        return replace(known, certificates=added)

    what = f"certificate {certificate.sha1}"
    await _changed(directory, clock, application, change, what, Action.CREDENTIAL_ADD)


async def remove_credential(
    directory: Directory, clock: Clock, application: ClientApplication, name: str
) -> None:
    """Remove a secret by its id, or a certificate by its thumbprint.

    Raises:
        NotFound: the application has no such credential.
    """
    plain = name.replace(":", "").lower()

    def change(known: ClientApplication) -> ClientApplication:
        left = replace(
            known,
            secrets=tuple(one for one in known.secrets if one.id != plain),
            certificates=tuple(one for one in known.certificates if plain not in _thumbprints(one)),
        )
        if left == known:
            raise NotFound(
                "CredentialNotFound",
                Message(
                    "%(application)s has no credential %(name)s. Give a secret's id or a "
                    "certificate's thumbprint, as livius identity app list shows them.",
                    application=known.name,
                    name=name[:100],
                ),
            )
        return left

    await _changed(directory, clock, application, change, plain, Action.CREDENTIAL_REMOVE)


async def allow_scopes(
    directory: Directory, clock: Clock, application: ClientApplication, scopes: Sequence[str]
) -> ClientApplication:
    """Let an application request further scopes of users.

    Raises:
        Invalid: there is no such scope.
    """
    return await _changed_scopes(
        directory, clock, application, scopes, frozenset.union, "allowed {}"
    )


async def disallow_scopes(
    directory: Directory, clock: Clock, application: ClientApplication, scopes: Sequence[str]
) -> ClientApplication:
    """Remove scopes from an application, even if users have consented to them.

    Raises:
        Invalid: there is no such scope.
    """
    return await _changed_scopes(
        directory, clock, application, scopes, frozenset.difference, "not allowed any more {}"
    )


async def set_scopes(
    directory: Directory, clock: Clock, application: ClientApplication, scopes: Sequence[str]
) -> ClientApplication:
    """Let an application request exactly these scopes of users.

    Raises:
        Invalid: there is no such scope.
    """
    return await _changed_scopes(
        directory, clock, application, scopes, lambda _known, asked: asked, "allowed exactly {}"
    )


async def _changed_scopes(
    directory: Directory,
    clock: Clock,
    application: ClientApplication,
    scopes: Sequence[str],
    combined: Callable[[frozenset[str], frozenset[str]], frozenset[str]],
    what: str,
) -> ClientApplication:
    """Change the scopes: ``combined`` takes the present and the given ones."""
    asked = frozenset(_checked_scope(scope) for scope in scopes)
    return await _changed(
        directory,
        clock,
        application,
        lambda known: replace(known, scopes=combined(known.scopes, asked)),
        what.format(" ".join(sorted(asked)) or "nothing"),
    )


async def add_redirect(
    directory: Directory, clock: Clock, application: ClientApplication, uri: str
) -> ClientApplication:
    """Register a redirect URI.

    Raises:
        Invalid: the URI is invalid.
        Conflict: the application has the most that it may have.
    """
    checked = _checked_uri(uri)

    def change(known: ClientApplication) -> ClientApplication:
        uris = tuple(dict.fromkeys((*known.redirect_uris, checked)))
        return replace(known, redirect_uris=_bounded(uris, Message("redirect URIs")))

    return await _changed(directory, clock, application, change, f"answers at {checked}")


async def remove_redirect(
    directory: Directory, clock: Clock, application: ClientApplication, uri: str
) -> ClientApplication:
    """Remove a redirect URI.

    Raises:
        NotFound: the application has no such one.
    """

    def change(known: ClientApplication) -> ClientApplication:
        if uri not in known.redirect_uris:
            raise NotFound(
                "RedirectNotFound",
                Message(
                    "%(application)s has no redirect URI %(uri)s. It has %(known)s.",
                    application=known.name,
                    uri=uri[:200],
                    known=", ".join(known.redirect_uris) or "none",
                ),
            )
        uris = tuple(one for one in known.redirect_uris if one != uri)
        return replace(known, redirect_uris=uris)

    return await _changed(directory, clock, application, change, f"no longer answers at {uri}")


async def consent_for(
    directory: Directory, clock: Clock, user: User, application: ClientApplication
) -> None:
    """Consent, for a user, to all scopes that an application may request."""
    for resource, scopes in permissions_of(application):
        await directory.add_consent(
            Consent(
                user=user.oid,
                client_id=application.client_id,
                resource=resource.name,
                scopes=scopes,
                given_at=clock.now(),
            ),
            audit=act(
                clock,
                Action.CONSENT_GIVE,
                _named(application),
                detail=f"for {user.username}, {resource.name}: {' '.join(sorted(scopes))}",
            ),
        )


async def revoke_consent(
    directory: Directory, clock: Clock, user: User, application: ClientApplication
) -> bool:
    """Delete a user's consents to an application; False if there was none."""
    entry = act(clock, Action.CONSENT_REVOKE, _named(application), detail=f"for {user.username}")
    return await directory.revoke_consent(user.oid, application.client_id, audit=entry)


async def _changed(
    directory: Directory,
    clock: Clock,
    application: ClientApplication,
    change: Callable[[ClientApplication], ClientApplication],
    what: str,
    action: Action = Action.APPLICATION_CHANGE,
) -> ClientApplication:
    """Change the present record of an application, which may differ from the one that was read.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    entry = act(clock, action, _named(application), detail=what)
    changed = await directory.change_application(application.client_id, change, audit=entry)
    if changed is None:
        raise _no_application(application.client_id)
    return changed


def _named(application: ClientApplication) -> str:
    return f"{application.name} ({application.client_id})"


def _no_application(text: str) -> NotFound:
    return NotFound(
        "ApplicationNotFound",
        Message(
            "There is no client application %(text)s. See them: livius identity app list",
            text=text[:100],
        ),
    )


def _bounded(kept: tuple[Kept, ...], what: str) -> tuple[Kept, ...]:
    if len(kept) > _MOST:
        raise Conflict(
            "TooManyCredentials",
            Message(
                "An application has at most %(most)s %(what)s. Remove one that is no longer used.",
                most=_MOST,
                what=what,
            ),
        )
    return kept


async def _hashed(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise Invalid(
            "InvalidPassword",
            f"A password has {SHORTEST_PASSWORD} to {_LONGEST_PASSWORD} characters.",
        )
    return await asyncio.to_thread(hash_password, password)


def _thumbprints(certificate: ClientCertificate) -> tuple[str, str]:
    return certificate.sha1.lower(), certificate.sha256.lower()


def _checked_name(name: str) -> str:
    plain = " ".join(name.split())
    if not 0 < len(plain) <= _LONGEST_NAME or not plain.isprintable():
        raise Invalid(
            "InvalidName",
            Message("A name has 1 to %(most)s printable characters.", most=_LONGEST_NAME),
        )
    return plain


def _checked_scope(text: str) -> str:
    name = text.rpartition("/")[2].lower()
    for scope in sorted(RESOURCES[0].scopes):
        if scope.lower() == name:
            return scope
    raise Invalid(
        "UnknownScope",
        Message(
            "There is no scope %(text)s. There are %(scopes)s.",
            text=text,
            scopes=", ".join(sorted(Scope)),
        ),
    )


def _checked_uri(uri: str) -> str:
    fault = redirect_uri_fault(uri)
    if fault is not None:
        raise Invalid(
            "InvalidRedirectUri",
            Message("%(uri)s can't be a redirect URI: %(fault)s.", uri=uri, fault=fault),
        )
    return uri
