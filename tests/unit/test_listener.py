"""How the gateway listens."""

from livius.bootstrap.listeners import listener


def test_a_connection_outlives_the_sleep_between_a_clients_questions() -> None:
    assert listener(None, "127.0.0.1", 0, None).config.timeout_keep_alive > 60
