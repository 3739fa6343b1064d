"""The operator's settings: the one reader of the environment.

Each is a variable ``LIVIUS_…``. Durations are seconds, have a unit (``20m``) or are ISO 8601
(``PT20M``); sizes are bytes or have a unit.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from livius.data_folder import OTHER_VARIABLES, default_data_folder
from livius.domain.ids import TenantId
from livius.domain.oidc_provider import Provider, check_provider, entra_tenant, own_audiences
from livius.domain.resources import AUDIENCE_OF
from livius.domain.tokens import AUDIENCES, FABRIC

_MIB: Final = 1024 * 1024
_HEAP: Final = re.compile(r"(\d+)([mg])", re.IGNORECASE)
_ISO_DURATION: Final = re.compile(r"\s*[-+]?(P|\d+:)", re.IGNORECASE)
_AS_PYDANTIC: Final = TypeAdapter(timedelta)
_DURATION: Final = re.compile(r"(-?\d{1,9}(?:\.\d+)?)\s*([smhd]?)", re.IGNORECASE)
_FIRST_UID: Final = 65536
_LAST_UID: Final = 2**31 - 2
_FEWEST_UIDS: Final = 8192
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _as_people_write(value: object) -> object:
    """Read seconds and plain units; pydantic reads the other forms, such as ISO 8601."""
    if not isinstance(value, str):
        return value
    found = _DURATION.fullmatch(value.strip())
    if found is not None:
        return timedelta(seconds=float(found[1]) * _UNITS[found[2].lower()])
    if _ISO_DURATION.match(value):
        with suppress(ValidationError):
            return _AS_PYDANTIC.validate_python(value)
    raise ValueError("it is a duration, such as 90 (seconds), 20m, 14d or PT20M")


def _at_least(seconds: int) -> AfterValidator:
    """Refuse shorter durations with a readable message; pydantic's shows Python's types."""

    def check(value: timedelta) -> timedelta:
        if value < timedelta(seconds=seconds):
            raise ValueError(f"it is a duration of at least {seconds} s, such as 90, 20m or PT20M")
        return value

    return AfterValidator(check)


_Written = Annotated[timedelta, BeforeValidator(_as_people_write)]
Duration = Annotated[_Written, _at_least(0)]
_Positive = Annotated[_Written, _at_least(1)]
_Size = Annotated[ByteSize, Field(ge=0)]
_LOCAL_MASTER: Final = re.compile(r"local(\[([1-9]\d{0,3}|\*)(,[1-9]\d{0,3})?\])?")


def unknown_variables(names: Iterable[str]) -> dict[str, str | None]:
    """Return the ``LIVIUS_`` variables that are no settings, each with the most similar setting."""
    settings = {f"LIVIUS_{name.upper()}" for name in Settings.model_fields}
    unknown = {name for name in names if name.upper().startswith("LIVIUS_")} - OTHER_VARIABLES
    return {
        name: next(iter(get_close_matches(name.upper(), settings, n=1, cutoff=0.8)), None)
        for name in sorted(unknown)
        if name.upper() not in settings
    }


class Settings(BaseSettings):
    """All settings. Wrong values stop the start; see `unknown_variables` for wrong names."""

    model_config = SettingsConfigDict(env_prefix="LIVIUS_", frozen=True)

    home: Path = Field(
        default_factory=default_data_folder,
        description="The data folder. Another folder is another installation.",
    )
    port: int = Field(
        default=8443,
        ge=0,
        le=65535,
        description="The https port at the first start, kept from then on; 0 takes any free one.",
    )
    http_port: int = Field(
        default=8998,
        ge=0,
        le=65535,
        description="The loopback http port at the first start, kept from then on; 0 takes any "
        "free one.",
    )
    host: str = Field(
        default="127.0.0.1",
        description="The address of the https port. The http port is always on loopback.",
    )
    authority_tenant: UUID | None = Field(
        default=None,
        description="The Entra tenant whose tokens are valid instead of the embedded authority's. "
        "With an issuer: the tenant of an authority that behaves as Entra does.",
    )
    authority_issuer: str | None = Field(
        default=None,
        description="The issuer of the OpenID provider whose tokens are valid instead of the "
        "embedded authority's, exactly as in its discovery document.",
    )
    authority_audience: str | None = Field(
        default=None,
        description="The audience of that tenant's or provider's tokens: the client id or "
        "application id URI of Livius's own registration there.",
    )
    authority_fabric_tokens: bool = Field(
        default=False,
        description="Accept tokens that a real tenant issued for Fabric itself. Such a token gives "
        "access to its owner's real Fabric: the operator of this server could use it there.",
    )
    authority_client_id: str | None = Field(
        default=None,
        min_length=1,
        description="The client id of Livius's own application at that tenant or provider. With it "
        "users sign in to the portal; with a secret or a certificate session code gets tokens.",
    )
    authority_client_secret: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="The application's secret. A file is better: the variables of a process can "
        "be read for as long as it runs.",
    )
    authority_client_secret_file: Path | None = Field(
        default=None, description="A file with the application's secret on its only line."
    )
    authority_client_certificate_file: Path | None = Field(
        default=None,
        description="A PEM file with the application's certificate and its RSA private key, "
        "instead of a secret.",
    )
    authority_scope: str | None = Field(
        default=None,
        min_length=1,
        description="The scopes that the portal asks for when a user signs in, so that the "
        "provider issues access tokens for Livius. Default for a tenant: <audience>/.default.",
    )
    authority_application_audiences: str = Field(
        default="",
        description="Audiences (pbi, storage, keyvault, kusto, sql, datalake) for which session "
        "code gets the application's own tokens if the caller's can't be exchanged on behalf of "
        "the user. They give every user who runs code the application's rights.",
    )
    embedded_authority_beyond_loopback: bool = Field(
        default=False,
        description="Let the embedded authority issue tokens although the https port listens "
        "beyond loopback.",
    )
    portal_url: str | None = Field(
        default=None,
        pattern=r"^https://[^\s/?#@]+$",
        description="The address at which users on other machines reach the https port, such as "
        "https://livius.example.org:8443: the portal answers there too.",
    )
    owners: str = Field(
        default="",
        description="Object ids of principals that may run code in addition to the first user and "
        "the sample application: other accounts of the person that this installation is for. "
        "Users among them also change client applications in the portal.",
    )
    launch: Literal["single-user", "per-user"] = Field(
        default="single-user",
        description="The operating system user of drivers: the gateway's own for all, or one for "
        "each principal, for which the gateway has to run as root.",
    )
    launch_uids: str = Field(
        default="2000000-2099999",
        pattern=r"^\d{4,10}-\d{4,10}$",
        description="With per-user: the uids of those users and of their groups, first to last. No "
        "other user of the machine may have them. The last 4096 are the workspaces' groups.",
    )
    trust_all_users: bool = Field(
        default=False,
        description="Let every principal with the role run code, although all sessions run as one "
        "operating system user: they can read each other's data, keys and tokens.",
    )
    runtimes: Path | None = Field(
        default=None,
        description="The folder of the runtimes; several installations may share it.",
    )
    java_home: Path | None = Field(
        default=None,
        description="The Java 17 or 21 to use. It comes before JAVA_HOME and the path.",
    )
    ivy_settings: Path | None = Field(
        default=None, description="An Ivy settings file that names your mirror for jars."
    )
    vault_url: str | None = Field(
        default=None,
        pattern=r"^https://[^\s?#]+$",
        description="The address of the key vaults with sessions' secrets, such as "
        "https://{vault}.vault.azure.net; {vault} is a vault's name. The default is this "
        "installation's own vaults: see livius secret.",
    )
    default_runtime: str = Field(default="2.0", description="The runtime of new sessions.")
    spark_master: str = Field(
        default="local[*]",
        description="How many cores of this machine each session's Spark uses: local[N], or all "
        "with local[*]. A cluster's master is refused: Livius can't launch drivers on one yet.",
    )
    driver_memory: str = Field(
        default="1g",
        pattern=r"^[1-9]\d{0,5}[mgMG]$",
        description="A driver's heap. A smaller one allows more sessions, a larger one more data.",
    )
    driver_java_options: str = Field(
        default="",
        description="Further options of each driver's Java, as a shell reads them, such as "
        "-Duser.timezone=UTC -XX:+UseParallelGC. Livius's own come after them, except for the "
        "thresholds of Java's compiler.",
    )
    show_lakehouse: bool = Field(
        default=True,
        description="Show the lakehouse at /lakehouse/default to a session's own processes, as "
        "Fabric does. Needs root or unprivileged user namespaces; otherwise errors name the path.",
    )
    max_drivers: int = Field(
        default=8, ge=1, description="How many sessions may live at once; each is a JVM."
    )
    queue_size: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="How many sessions may wait for room, each with its place, instead of being "
        "refused with 430; 0: none. They start in the order in which they came.",
    )
    pool_size: int = Field(
        default=1,
        ge=0,
        le=20,
        description="How many drivers wait, started and warm, for the next sessions; 0: none. Each "
        "takes about as much memory as a session's, is given up when that gets short, and does "
        "not count against LIVIUS_MAX_DRIVERS. Not with per-user: a driver's user can't change.",
    )
    environment_pool_size: int = Field(
        default=1,
        ge=0,
        le=20,
        description="How many drivers wait, started and warm, with the libraries of environments "
        "that have the Spark property spark.livius.environment.warm=true, one for each; 0: none. "
        "Of more environments, those that were published last have one. Otherwise as with "
        "LIVIUS_POOL_SIZE.",
    )
    memory_reserve: _Size = Field(
        default=ByteSize(512 * _MIB),
        description="Memory that stays free: a session that would leave less is refused. The "
        "memory that starting sessions will need counts as used.",
    )
    disk_reserve: _Size = Field(
        default=ByteSize(512 * _MIB),
        description="Disk space that stays free: below it new work is refused and output is cut.",
    )
    idle_timeout: _Positive = Field(
        default=timedelta(minutes=20),
        description="A session ends after this time without work. A busy one never does.",
    )
    start_timeout: _Positive = Field(
        default=timedelta(minutes=5),
        description="How long the start of a session may take. Slow machines need more.",
    )
    publish_timeout: _Positive = Field(
        default=timedelta(minutes=30),
        description="How long the publish of an environment may take.",
    )
    lease: _Positive = Field(
        default=timedelta(minutes=15),
        description="How long a driver keeps running without any gateway before it ends itself.",
    )
    redial_grace: _Positive = Field(
        default=timedelta(seconds=60),
        description="How long a running driver may stay unreachable before it is given up.",
    )
    cancel_grace: _Positive = Field(
        default=timedelta(seconds=10),
        description="How long cancelled code may take to stop before its process is ended.",
    )
    long_poll: Duration = Field(
        default=timedelta(seconds=20),
        description="How long a request for something unfinished waits for news; 0 does not wait.",
    )
    max_long_polls: int = Field(
        default=2000,
        ge=0,
        description="How many long polls wait at once; further ones are answered immediately.",
    )
    max_connections: int = Field(
        default=3000,
        ge=16,
        description="How many connections both ports take together. There may be fewer: a quarter "
        "of the files that the system lets the gateway open stays for its own needs.",
    )
    max_connections_per_address: int = Field(
        default=2000,
        ge=1,
        description="How many of them one address may have; at most three quarters of all. At a "
        "limit, a new one replaces a waiting one without an authenticated caller.",
    )
    request_timeout: Duration = Field(
        default=timedelta(seconds=20),
        gt=timedelta(),
        description="How long a request's head may take to arrive, and its body, but for a second "
        "more for each 16 KiB of it. The gateway's own time is not counted. A client "
        "that stops reading an answer has three times as long, and a second more for each 16 KiB "
        "that wait, until its connection is closed.",
    )
    output_limit: _Size = Field(
        default=ByteSize(100 * _MIB),
        description="The most text that is stored of one statement; the output says if it is cut.",
    )
    output_inline: _Size = Field(
        default=ByteSize(64 * 1024),
        description="The most of a statement's data, and of its text, that its record has; more is "
        "in files.",
    )
    event_log_limit: _Size = Field(
        default=ByteSize(64 * _MIB),
        description="The most that Spark's event log of a session takes on disk, compressed; later "
        "jobs are missing in it. Ended sessions have Spark's pages and REST by it; 0: no log.",
    )
    sql_row_limit: int = Field(
        default=10_000,
        ge=1,
        description="The most rows that an SQL statement returns; the output says if it is cut.",
    )
    retention: Duration = Field(
        default=timedelta(days=30), description="How long ended sessions stay readable."
    )
    audit_retention: Duration = Field(
        default=timedelta(days=365),
        description="How long the audit log keeps each entry. It never changes one.",
    )
    sqlite_synchronous: Literal["NORMAL", "FULL"] = Field(
        default="NORMAL",
        description="FULL survives power cuts too, at the cost of a disk flush per statement.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="info has a line per request that changes something or fails, debug one per "
        "request.",
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="How log lines are written: for programs, or for people."
    )

    @field_validator("spark_master")
    @classmethod
    def _local(cls, text: str) -> str:
        """Refuse a master whose executors or driver would run on other machines."""
        if not _LOCAL_MASTER.fullmatch(text):
            raise ValueError(
                "Spark runs on this machine alone: Livius can't launch drivers on a cluster yet. "
                "Use local[*], or local[N] for N cores"
            )
        return text

    @field_validator("driver_java_options")
    @classmethod
    def _java_options(cls, text: str) -> str:
        """Refuse an option that Java doesn't have, or that has a setting of its own."""
        for option in shlex.split(text):
            if option.startswith("-Xmx"):
                raise ValueError("the heap's size is LIVIUS_DRIVER_MEMORY")
            if not option.startswith(("-D", "-X")):
                raise ValueError(f"{option} is none of -D…, -X… and -XX:…")
        return text

    @field_validator("owners")
    @classmethod
    def _ids(cls, text: str) -> str:
        """Refuse a text that is no object id: a name would trust nobody, without an error."""
        try:
            return " ".join(str(UUID(one)) for one in text.split())
        except ValueError:
            raise ValueError("it is object ids, which are GUIDs, with blanks between") from None

    @field_validator("authority_application_audiences")
    @classmethod
    def _known_audiences(cls, text: str) -> str:
        """Refuse audiences that sessions can't ask for."""
        unknown = set(text.split()) - set(AUDIENCE_OF)
        if unknown:
            raise ValueError(f"{min(unknown)} is none of {', '.join(AUDIENCE_OF)}")
        return text

    @field_validator(
        "home",
        "runtimes",
        "java_home",
        "ivy_settings",
        "authority_client_secret_file",
        "authority_client_certificate_file",
    )
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        """Make a path absolute, for child processes with other working directories."""
        return None if path is None else path.expanduser().absolute()

    @field_validator("launch_uids")
    @classmethod
    def _wide(cls, text: str) -> str:
        """Refuse numbers that are too few, or that the system has."""
        first, last = map(int, text.split("-"))
        if first < _FIRST_UID or last > _LAST_UID or last - first < _FEWEST_UIDS:
            raise ValueError(
                f"it is two numbers between {_FIRST_UID} and {_LAST_UID}, at least {_FEWEST_UIDS} "
                "apart, such as 2000000-2099999"
            )
        return text

    @model_validator(mode="after")
    def _one_authority(self) -> Self:
        """Refuse authorities that could not work, or whose tokens could be confused with others."""
        external = self.provider
        if external is None:
            about_it = [
                name
                for name in type(self).model_fields
                if name.startswith("authority_") and getattr(self, name)
            ]
            if about_it:
                raise ValueError(
                    f"{', '.join(f'LIVIUS_{name.upper()}' for name in about_it)}: these need "
                    "LIVIUS_AUTHORITY_TENANT or LIVIUS_AUTHORITY_ISSUER"
                )
            if not self.on_loopback and not self.embedded_authority_beyond_loopback:
                raise ValueError(
                    "LIVIUS_HOST is beyond loopback, where the embedded authority is not to be "
                    "reached. Name an authority with LIVIUS_AUTHORITY_TENANT or "
                    "LIVIUS_AUTHORITY_ISSUER, or set LIVIUS_EMBEDDED_AUTHORITY_BEYOND_LOOPBACK"
                )
            return self
        check_provider(external, fabric_tokens=self.authority_fabric_tokens)
        if len(self.proofs) > 1:
            raise ValueError(f"of {' and '.join(self.proofs)} one is enough")
        if self.authority_client_id is None and (
            self.proofs or self.authority_application_audiences
        ):
            raise ValueError("LIVIUS_AUTHORITY_CLIENT_ID is needed: whose credential it is")
        return self

    @property
    def proofs(self) -> list[str]:
        """Return the settings with the credentials of Livius's own application."""
        names = ("client_secret", "client_secret_file", "client_certificate_file")
        return [
            f"LIVIUS_AUTHORITY_{name.upper()}"
            for name in names
            if getattr(self, f"authority_{name}") is not None
        ]

    @property
    def provider(self) -> Provider | None:
        """The configured authority; None for the embedded one."""
        if self.authority_tenant is None and self.authority_issuer is None:
            return None
        audiences = own_audiences(self.authority_audience or "")
        if self.authority_fabric_tokens:
            audiences |= AUDIENCES
        tenant = TenantId(str(self.authority_tenant)) if self.authority_tenant else None
        if self.authority_issuer is not None:
            return Provider(issuer=self.authority_issuer, audiences=audiences, tenant=tenant)
        return entra_tenant(TenantId(str(self.authority_tenant)), audiences)

    @property
    def sign_in_scope(self) -> str | None:
        """The scopes that the portal requests at the external authority; None if unset."""
        if self.authority_scope is not None or self.authority_tenant is None:
            return self.authority_scope
        named = (self.authority_audience or "").split()
        return f"{named[0] if named else FABRIC}/.default"

    @property
    def missing_for_portal(self) -> tuple[str, ...]:
        """The settings without which nobody can sign in at the portal."""
        if self.provider is None:
            return ()
        found = {
            "LIVIUS_AUTHORITY_CLIENT_ID": self.authority_client_id,
            "LIVIUS_AUTHORITY_SCOPE": self.sign_in_scope,
        }
        return tuple(name for name, value in found.items() if value is None)

    @property
    def on_loopback(self) -> bool:
        """Tell whether programs of this machine alone reach the https port."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def launch_numbers(self) -> range | None:
        """The numbers of the principals' own OS users; None if drivers run as the gateway does."""
        if self.launch == "single-user":
            return None
        first, last = map(int, self.launch_uids.split("-"))
        return range(first, last + 1)

    @property
    def runtimes_folder(self) -> Path:
        """The folder of the runtimes."""
        return self.runtimes or self.home / "runtimes"

    @property
    def driver_memory_bytes(self) -> int:
        """The memory of one driver: its heap, and the rest that JVM and Python need."""
        match = _HEAP.fullmatch(self.driver_memory)
        if match is None:
            raise AssertionError("the pattern was checked")
        unit = _MIB if match[2].lower() == "m" else 1024 * _MIB
        return int(match[1]) * unit + 600 * _MIB
