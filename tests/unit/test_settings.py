"""The settings and their reference."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from livius.cli.reference import settings_page
from livius.settings import Settings, unknown_variables

ROOT = Path(__file__).parents[2]


def test_the_reference_is_what_the_code_says() -> None:
    page = ROOT / "docs" / "reference" / "settings.md"
    assert page.read_text(encoding="utf-8") == settings_page()


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "70000"), ("PORT", "x"), ("DRIVER_MEMORY", "1"), ("MAX_DRIVERS", "0"),
     ("SQLITE_SYNCHRONOUS", "OFF"), ("IDLE_TIMEOUT", "soon"), ("IDLE_TIMEOUT", "-5"),
     ("IDLE_TIMEOUT", "5 years"), ("CANCEL_GRACE", "0"), ("IDLE_TIMEOUT", "0"), ("LEASE", "0"),
     ("MEMORY_RESERVE", "-1"), ("OUTPUT_LIMIT", "-1MB"), ("AUDIT_RETENTION", "-1d"),
     ("DRIVER_JAVA_OPTIONS", "-Xmx8g"), ("DRIVER_JAVA_OPTIONS", "-Da=b -jar x.jar"),
     ("DRIVER_JAVA_OPTIONS", "-Da='b")],
)  # fmt: skip
def test_wrong_values_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"LIVIUS_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_paths_are_fixed_where_they_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIVIUS_HOME", "here")
    monkeypatch.delenv("LIVIUS_RUNTIMES", raising=False)
    assert Settings().home == tmp_path / "here"
    assert Settings().runtimes_folder == tmp_path / "here" / "runtimes"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("2.5", 2.5), ("90 s", 90), ("20m", 1200), ("2H", 7200), ("14d", 1209600),
     ("PT20M", 1200), ("00:20:00", 1200), ("1", 1)],
)  # fmt: skip
def test_durations_are_read_as_people_write_them(
    monkeypatch: pytest.MonkeyPatch, text: str, seconds: float
) -> None:
    monkeypatch.setenv("LIVIUS_IDLE_TIMEOUT", text)
    assert Settings().idle_timeout.total_seconds() == seconds


TENANT = "3f0c1c5e-6c0b-4a0b-9b2f-0d3b8d1f7a11"


TAKEN = {"AUTHORITY_TENANT": TENANT, "AUTHORITY_AUDIENCE": "livius"}


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"AUTHORITY_TENANT": "contoso"}, "UUID"),
        ({"AUTHORITY_TENANT": TENANT}, "LIVIUS_AUTHORITY_AUDIENCE is needed"),
        ({"AUTHORITY_AUDIENCE": "livius"}, "need LIVIUS_AUTHORITY_TENANT"),
        ({"AUTHORITY_FABRIC_TOKENS": "true"}, "need LIVIUS_AUTHORITY_TENANT"),
        (
            {"AUTHORITY_TENANT": TENANT, "AUTHORITY_AUDIENCE": "https://api.fabric.microsoft.com"},
            "open their owners' real Fabric",
        ),
        ({"AUTHORITY_ISSUER": "http://id.example", "AUTHORITY_AUDIENCE": "livius"}, "https"),
        ({"AUTHORITY_CLIENT_ID": "x"}, "LIVIUS_AUTHORITY_CLIENT_ID: these need"),
        (
            {**TAKEN, "AUTHORITY_CLIENT_SECRET_FILE": "/x"},
            "LIVIUS_AUTHORITY_CLIENT_ID is needed",
        ),
        (
            {
                **TAKEN,
                "AUTHORITY_CLIENT_ID": "x",
                "AUTHORITY_CLIENT_SECRET": "x",
                "AUTHORITY_CLIENT_CERTIFICATE_FILE": "/x",
            },
            "one is enough",
        ),
        (
            {**TAKEN, "AUTHORITY_CLIENT_ID": "x", "AUTHORITY_APPLICATION_AUDIENCES": "graph"},
            "graph is none of",
        ),
        ({"PORTAL_URL": "http://livius.example"}, "pattern"),
        ({"PORTAL_URL": "https://livius.example/portal"}, "pattern"),
        ({"HOST": "0.0.0.0"}, "LIVIUS_EMBEDDED_AUTHORITY_BEYOND_LOOPBACK"),
        ({"HOST": "livius.example"}, "LIVIUS_EMBEDDED_AUTHORITY_BEYOND_LOOPBACK"),
    ],
)
def test_an_authority_that_must_not_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, chosen: dict[str, str], said: str
) -> None:
    for name, value in chosen.items():
        monkeypatch.setenv(f"LIVIUS_{name}", value)
    with pytest.raises(ValidationError, match=said):
        Settings()


@pytest.mark.parametrize(
    "chosen",
    [
        {"HOST": "::1"},
        {"HOST": "0.0.0.0", "EMBEDDED_AUTHORITY_BEYOND_LOOPBACK": "true"},
        {"HOST": "0.0.0.0", "AUTHORITY_TENANT": TENANT, "AUTHORITY_AUDIENCE": "livius"},
        {"AUTHORITY_TENANT": TENANT, "AUTHORITY_FABRIC_TOKENS": "true"},
        {"AUTHORITY_ISSUER": "http://127.0.0.1:8000", "AUTHORITY_AUDIENCE": "livius"},
    ],
)
def test_an_authority_that_may_be_is_taken(
    monkeypatch: pytest.MonkeyPatch, chosen: dict[str, str]
) -> None:
    for name, value in chosen.items():
        monkeypatch.setenv(f"LIVIUS_{name}", value)
    assert (Settings().provider is None) == (
        "AUTHORITY" not in " ".join(chosen).replace("EMBEDDED_AUTHORITY", "")
    )


@pytest.mark.parametrize(
    ("chosen", "missing", "scope"),
    [
        ({}, (), None),
        (TAKEN, ("LIVIUS_AUTHORITY_CLIENT_ID",), "livius/.default"),
        ({**TAKEN, "AUTHORITY_CLIENT_ID": "x", "AUTHORITY_SCOPE": "a b"}, (), "a b"),
        (
            {"AUTHORITY_ISSUER": "https://id.example", "AUTHORITY_AUDIENCE": "livius"},
            ("LIVIUS_AUTHORITY_CLIENT_ID", "LIVIUS_AUTHORITY_SCOPE"),
            None,
        ),
    ],
)
def test_what_is_missing_for_people_to_sign_in(
    monkeypatch: pytest.MonkeyPatch,
    chosen: dict[str, str],
    missing: tuple[str, ...],
    scope: str | None,
) -> None:
    for name, value in chosen.items():
        monkeypatch.setenv(f"LIVIUS_{name}", value)
    assert Settings().missing_for_portal == missing
    assert Settings().sign_in_scope == scope


def test_a_secret_in_the_environment_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**TAKEN, "AUTHORITY_CLIENT_ID": "x", "AUTHORITY_CLIENT_SECRET": "very-secret"}
    for name, value in given.items():
        monkeypatch.setenv(f"LIVIUS_{name}", value)
    assert "very-secret" not in repr(Settings()) + Settings().model_dump_json()


@pytest.mark.parametrize("master", ["local", "local[1]", "local[*]", "local[4,2]"])
def test_a_local_master_is_taken(monkeypatch: pytest.MonkeyPatch, master: str) -> None:
    monkeypatch.setenv("LIVIUS_SPARK_MASTER", master)
    assert Settings().spark_master == master


@pytest.mark.parametrize(
    "master",
    [
        "spark://h:7077",
        "yarn",
        "k8s://https://h",
        "local-cluster[2,1,1024]",
        "local[0]",
        "",
        "mesos",
    ],
)
def test_a_master_that_is_not_local_is_refused(
    monkeypatch: pytest.MonkeyPatch, master: str
) -> None:
    monkeypatch.setenv("LIVIUS_SPARK_MASTER", master)
    with pytest.raises(ValidationError, match=r"local\[\*\]"):
        Settings()


def test_a_long_poll_outlasts_a_cold_query_and_ends_before_the_most_impatient_client_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LIVIUS_LONG_POLL", raising=False)
    assert 15 <= Settings().long_poll.total_seconds() <= 25  # docs/decisions/0020


def test_a_variable_that_is_no_setting_is_named_with_the_one_it_may_mean() -> None:
    names = [
        "LIVIUS_MAX_DRIVER",
        "LIVIUS_QUITE_ELSE",
        "LIVIUS_PORT",
        "livius_long_poll",
        "LIVIUS_TREE",
    ]
    assert unknown_variables([*names, "PATH"]) == {
        "LIVIUS_MAX_DRIVER": "LIVIUS_MAX_DRIVERS",
        "LIVIUS_QUITE_ELSE": None,
    }
