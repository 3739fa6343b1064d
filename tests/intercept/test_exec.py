"""``livius exec`` as a program under it, and the one above it, see it."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from intercept.conftest import Place, serving
from support.waiting import wait_for

FABRIC = "https://api.fabric.microsoft.com/v1/workspaces"
SLEEPS = "import signal, sys, time\n"


def gone(place: Place) -> None:
    """Nothing is left of a tree: no folder, no proxy."""
    wait_for(lambda: not place.folders(), seconds=5, what="the folder is removed")
    here = str(place.home.root)
    wait_for(
        lambda: (
            not [
                one
                for one in psutil.process_iter(["cmdline"])
                if "exec" in (one.info["cmdline"] or []) and here in _environment(one)
            ]
        ),
        seconds=5,
        what="the proxy has ended",
    )


def _environment(process: psutil.Process) -> str:
    try:
        return process.environ().get("LIVIUS_HOME", "")
    except (psutil.Error, OSError):
        return ""


@pytest.mark.parametrize(
    "host",
    [
        "api.fabric.microsoft.com",
        "onelake.dfs.fabric.microsoft.com",
        "myvault.vault.azure.net",
        "login.microsoftonline.com",
    ],
)
def test_a_intercepted_host_reaches_the_gateway_under_its_own_name(place: Place, host: str) -> None:
    done = place.livius("exec", "--", "curl", "-sS", f"https://{host}/a?b=c")
    assert (done.stdout, done.stderr) == (f'{{"host": "{host}", "path": "/a?b=c"}}', "")
    gone(place)


def test_requests_httpx_and_urllib_need_no_change(place: Place) -> None:
    code = f"""
import requests, httpx, urllib.request
print(requests.get({FABRIC!r}, timeout=9).json()["host"])
print(httpx.get({FABRIC!r}).json()["host"])
print(urllib.request.urlopen({FABRIC!r}, timeout=9).status)
"""
    done = place.livius("exec", "--", sys.executable, "-c", code)
    assert done.stdout.split() == ["api.fabric.microsoft.com"] * 2 + ["200"], done.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")
def test_node_trusts_the_gateway_by_the_variables(place: Place) -> None:
    """The way of the SDKs for Node: a tunnel through HTTPS_PROXY, then TLS."""
    code = """
const proxy = new URL(process.env.HTTPS_PROXY);
const host = 'api.fabric.microsoft.com';
require('http').request({
  host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: host + ':443',
  headers: {'Proxy-Authorization': 'Basic ' +
    Buffer.from(proxy.username + ':' + proxy.password).toString('base64')},
}).on('connect', (answer, socket) =>
  require('https').get({host, path: '/v1', socket, agent: false}, reply =>
    reply.on('data', data => console.log(String(data))))
).end();
"""
    done = place.livius("exec", "--", "node", "-e", code)
    assert '"host": "api.fabric.microsoft.com"' in done.stdout, done.stderr


def test_other_hosts_are_passed_through_and_only_refuses_them(place: Place) -> None:
    foreign: list[str] = []
    with serving(None, foreign, "127.0.0.2") as port:  # loopback, but no name that is spared
        url = f"http://127.0.0.2:{port}/x?y"
        passed = place.livius("exec", "--", "curl", "-sS", url)
        assert passed.stdout == f'{{"host": "127.0.0.2:{port}", "path": "/x?y"}}', passed.stderr
        refused = place.livius("exec", "--only", "--", "curl", "-sS", url)
        assert refused.stdout == (
            "Refused by livius exec --only: 127.0.0.2 does not lead to Livius\n"
        )
    assert len(foreign) == 1


def test_the_exit_code_and_the_output_are_the_programs(place: Place) -> None:
    done = place.livius("exec", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    gone(place)


def test_standard_input_is_the_programs(place: Place) -> None:
    process = place.start("exec", "--", "cat", stdin=subprocess.PIPE)
    assert process.communicate("words", timeout=20)[0] == "words"


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        (["no-such-program"], 127, "there is no program no-such-program"),
        (["/etc/hosts"], 126, "can't be run"),
        ([], 1, "Say what to run"),
    ],
)
def test_what_cant_be_run_is_said_as_a_shell_does(
    place: Place, command: list[str], code: int, text: str
) -> None:
    done = place.livius("exec", "--", *command)
    assert done.returncode == code
    assert text in done.stderr
    gone(place)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGKILL])
def test_a_signal_is_the_programs(place: Place, number: signal.Signals) -> None:
    process = place.start("exec", "--", "sh", "-c", "echo ready; exec sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert len(place.folders()) == 1
    process.send_signal(number)
    assert process.wait(10) == -number
    gone(place)
    process.communicate()


def test_a_program_may_take_its_time_to_end(place: Place) -> None:
    code = SLEEPS + (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"
        "print('ready', flush=True)\nwhile True: time.sleep(0.05)"
    )
    process = place.start("exec", "--", sys.executable, "-c", code)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    assert process.wait(10) == 3
    process.communicate()


def test_ctrl_c_at_a_terminal_reaches_the_program_once(place: Place) -> None:
    code = SLEEPS + (
        "times = []\nsignal.signal(signal.SIGINT, lambda *_: times.append(1))\n"
        "print('ready', flush=True)\n"
        "while not times: time.sleep(0.01)\n"
        "time.sleep(0.3); sys.exit(40 + len(times))"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(
            str(Path(sys.executable).with_name("livius")),
            ["livius", "exec", "--", sys.executable, "-c", code],
            place.environment,
        )
    try:
        assert b"ready" in os.read(terminal, 1000)
        os.write(terminal, b"\x03")
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 41
    finally:
        os.close(terminal)
    gone(place)


def test_the_program_has_our_place_and_no_child_that_it_did_not_start(place: Place) -> None:
    code = "import os, psutil; print(os.getpid(), os.getppid(), psutil.Process().children())"
    process = place.start("exec", "--", sys.executable, "-c", code)
    out, _ = process.communicate(timeout=60)
    assert out.split(maxsplit=2) == [str(process.pid), str(os.getpid()), "[]\n"]


def test_the_proxy_holds_nothing_of_the_programs(place: Place) -> None:
    """A reader of the program's output, or of its lock, does not wait for the proxy."""
    process = place.start("exec", "--", "sh", "-c", "exec >/dev/null 2>&1; echo; exec sleep 60")
    assert process.stdout is not None
    try:
        assert process.stdout.read() == ""  # its end, while the program and its proxy live on
        assert len(place.folders()) == 1
    finally:
        process.kill()
        process.wait()
        process.communicate()
    gone(place)


def test_a_pipe_that_nobody_reads_ends_the_program_as_ever(place: Place) -> None:
    done = place.livius("exec", "--", "bash", "-c", "set -o pipefail; yes | head -1")
    assert done.returncode == 128 + signal.SIGPIPE


def test_what_a_killed_proxy_left_is_removed_by_the_next(place: Place) -> None:
    left = place.home.intercept / "0123456789abcdef"
    left.mkdir(parents=True)
    (left / "lock").touch()
    assert place.livius("exec", "--", "true").returncode == 0
    assert not left.exists()


def test_two_trees_at_once_have_credentials_of_their_own(place: Place) -> None:
    ask = 'echo "$HTTPS_PROXY"; read _'
    trees = [place.start("exec", "--", "sh", "-c", ask, stdin=subprocess.PIPE) for _ in range(2)]
    proxies = [tree.stdout.readline() for tree in trees if tree.stdout is not None]
    assert len(place.folders()) == 2
    assert len({proxy.split("@")[0] for proxy in proxies}) == 2
    for tree in trees:
        tree.communicate("\n", timeout=10)
    gone(place)


def test_without_a_gateway_it_says_what_to_do(place: Place) -> None:
    place.home.connection_file.unlink()
    done = place.livius("exec", "--", "true")
    assert done.returncode == 1
    assert "livius up --detach" in done.stderr
    assert "livius exec --up" in done.stderr


def test_a_gateway_that_goes_and_comes_is_found_again(place: Place) -> None:
    file = place.home.connection_file
    code = f"""
curl -sS {FABRIC} >/dev/null || exit 1
mv {file} {file}.away
curl -sS -v {FABRIC} 2>&1 | grep -o 'No gateway serves.*'
mv {file}.away {file}
curl -sS {FABRIC}
"""
    done = place.livius("exec", "--", "sh", "-c", code)
    assert "Start one with: livius up --detach" in done.stdout
    assert done.stdout.endswith("}")


def test_env_leads_a_shell_until_it_ends(place: Place) -> None:
    livius = Path(sys.executable).with_name("livius")
    code = f'eval "$({livius} env)"; curl -sS {FABRIC}; echo; ls "$LIVIUS_HOME/intercept"'
    done = subprocess.run(
        ["bash", "-c", code],
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert '"host": "api.fabric.microsoft.com"' in done.stdout, done.stderr
    gone(place)


def test_a_password_is_for_signing_in_and_not_for_the_program(place: Place) -> None:
    look = (
        'env | grep -c -e LIVIUS_PASSWORD -e IDENTITY_; stat -c %a "$LIVIUS_HOME"/*/*/person.json'
    )
    done = place.livius(
        "exec", "--as", "ada@livius.test", "--", "sh", "-c", look, LIVIUS_PASSWORD="word"
    )
    assert done.stdout.split() == ["0", "600"], done.stderr
    gone(place)
    unknown = place.livius("exec", "--as", "ada@livius.test", "--", "true")
    assert unknown.returncode == 1
    assert "Set it in LIVIUS_PASSWORD" in unknown.stderr


def test_where_people_sign_in_elsewhere_that_is_not_intercepted(place: Place) -> None:
    """A real tenant, or another provider: its names are its own, and so is its command line."""
    file = place.home.connection_file
    ours = json.loads(file.read_text())
    file.write_text(json.dumps({**ours, "authority": "https://127.0.0.2:1/tenant/v2.0"}))
    look = (
        f"curl -sS {FABRIC}; echo; curl -sS https://login.microsoftonline.com/; "
        'curl -sS https://127.0.0.2:1/; env | grep -c IDENTITY_; ls "$LIVIUS_HOME"/intercept/*/bin'
    )
    upstream = "http://127.0.0.2:1"  # so that the name is not looked up, wherever this runs
    done = place.livius("exec", "--", "sh", "-c", look, HTTPS_PROXY=upstream)
    answer, *rest = done.stdout.splitlines()
    assert '"host": "api.fabric.microsoft.com"' in answer
    assert rest == ["0"]
    assert done.stderr.count("CONNECT tunnel failed, response 502") == 2
    assert "Entra's don't: programs sign in at https://127.0.0.2:1/tenant/v2.0" in done.stderr
    vault = place.livius(
        "exec", "--", "curl", "-sS", "https://mine.vault.azure.net/", HTTPS_PROXY=upstream
    )
    assert "CONNECT tunnel failed, response 502" in vault.stderr
    # It is how the server is without a credential of ours: no sample application to sign in as.
    file.write_text(
        json.dumps({**ours, "authority": "https://127.0.0.2:1/tenant/v2.0", "client_id": None})
    )
    printed = place.livius("env", "--pid", str(os.getpid()))
    assert (printed.returncode, "HTTPS_PROXY=" in printed.stdout) == (0, True)
    assert "Entra's don't" in printed.stderr
    assert place.seen == ["api.fabric.microsoft.com /v1/workspaces"]
    refused = place.livius("exec", "--as", "ada", "--", "true", LIVIUS_PASSWORD="word")
    assert "Users sign in at 127.0.0.2" in refused.stderr


def test_another_user_of_the_machine_gets_nothing(place: Place) -> None:
    """Neither the tree's files nor, without its credential, anything of its proxy."""
    code = f"""
import os, stat, subprocess, sys
from pathlib import Path
led = Path(os.environ["LIVIUS_HOME"]) / "intercept"
for path in [led, *led.glob("*/")]:
    print(oct(stat.S_IMODE(path.stat().st_mode)))
proxy = os.environ["HTTPS_PROXY"].rpartition("@")[2]
run = subprocess.run(
    ["curl", "-sS", "--proxy", proxy, {FABRIC!r}], capture_output=True, text=True, check=False
)
print(run.stderr)
"""
    done = place.livius("exec", "--", sys.executable, "-c", code)
    modes, _, said = done.stdout.partition("curl: ")
    assert modes.split() == ["0o700", "0o700"], done.stderr
    assert "response 407" in said


def test_az_gives_a_token_and_says_no_to_all_else(place: Place) -> None:
    done = place.livius("exec", "--", "az", "storage", "account", "list")
    assert done.returncode == 2
    assert "gives tokens and nothing else" in done.stderr
