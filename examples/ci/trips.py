"""The code under test: it knows Fabric's Livy API by a URL and an HTTP session."""


def run_sql(http, livy_url, query):
    """Return the rows of a query, from a session of its own."""
    session = f"{livy_url}/sessions/{_call(http, 'POST', f'{livy_url}/sessions', {})['id']}"
    try:
        _until(http, session, "idle")
        sent = _call(http, "POST", f"{session}/statements", {"code": query, "kind": "sql"})
        output = _until(http, f"{session}/statements/{sent['id']}", "available")["output"]
        if output["status"] != "ok":
            raise ValueError(output["evalue"])
        return output["data"]["application/json"]["data"]
    finally:
        _call(http, "DELETE", session)


def _until(http, url, state):
    while (found := _call(http, "GET", url))["state"] != state:
        if found["state"] in ("dead", "killed", "cancelled"):
            raise RuntimeError(f"It is {found['state']}.")
    return found


def _call(http, method, url, body=None):
    answer = http.request(method, url, json=body, timeout=120)
    answer.raise_for_status()
    return answer.json()
