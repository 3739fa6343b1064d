"""How `livius audit` tells a record."""

from livius.api.schemas import AuditDocument
from livius.cli.audit import _harmless, _line

RECORD: AuditDocument = {
    "number": 7,
    "at": "2026-11-25T12:44:37.146Z",
    "action": "statement.submit",
    "result": "accepted",
    "sessionId": "723dbce0-e439-45ff-b528-e26b58608c44",
    "statement": "0",
    "codeHead": "spark.range(3)\nsecond line",
    "actorName": "Ada",
    "actorKind": "user",
    "address": "127.0.0.1",
}


def test_a_record_is_one_line_with_who_what_where_and_the_codes_first_line() -> None:
    assert _line(RECORD).split("  ") == [
        "2026-11-25 12:44:37",
        "Ada",
        "statement.submit",
        "accepted",
        "session 723dbce0-e439-45ff-b528-e26b58608c44 statement 0",
        "from 127.0.0.1",
        "spark.range(3)",
    ]


def test_what_the_gateway_noted_by_itself_has_no_name() -> None:
    record: AuditDocument = {
        "number": 8,
        "at": RECORD["at"],
        "action": "session.end",
        "result": "idle",
        "sessionId": RECORD["sessionId"],
    }
    assert "  -  " in _line(record)


def test_nothing_in_it_steers_the_terminal() -> None:
    assert _harmless("a\x1b[31mb\rc\u202ed") == "a\ufffd[31mb\ufffdc\ufffdd"
