"""What is measured: each function is one section of the report."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import psutil

from bench.peers import Floor, by_hand, driver_spec
from bench.sample import Results
from support.chromium import chromium, sign_in
from support.gateway import Client, Gateway, RemoteSession

TABLE = "bench_table"
WARM_UP = 20


def starts(gateway: Gateway, rounds: int, results: Results) -> None:
    """Sessions, the same driver by hand, plain PySpark and Spark Connect, started in turn."""
    client = gateway.client()
    agent = next((gateway.home / "agent").iterdir())
    began = time.perf_counter()
    with client.session():  # the metastore makes its schema now
        results.add("an installation's first create to idle", (time.perf_counter() - began) * 1000)
    for _ in range(rounds):
        began = time.perf_counter()
        session = client.create()
        session.wait_idle()
        results.add("cold create to idle", (time.perf_counter() - began) * 1000)
        results.time("first select 1 after idle", partial(session.rows, "select 1"))
        spec = driver_spec(gateway)
        loaded = json.loads(spec.read_text())
        hand = by_hand(spec, agent)["seconds"] * 1000
        results.add("floor: the same driver by hand", hand)
        session.delete()
        for name, connect in (("plain PySpark", False), ("Spark Connect", True)):
            floor = Floor(loaded, connect=connect)
            results.add(f"floor: {name} started", floor.start_seconds * 1000)
            results.add(f"floor: {name}, first select 1", floor.run("select 1"))
            floor.end()


LIVIUS: dict[str, Callable[[RemoteSession], object]] = {
    "pyspark pass": lambda s: s.run("pass"),
    "pyspark 1 + 1": lambda s: s.run("1 + 1"),
    "pyspark select 1": lambda s: s.run("spark.sql('select 1').collect()"),
    "sql select 1": lambda s: s.run("select 1", "sql"),
    "spark 1 + 1": lambda s: s.run("1 + 1", "spark"),
    "spark select 1": lambda s: s.run('spark.sql("select 1").collect()', "spark"),
    "sql first row of a Delta table": lambda s: s.run(f"select * from {TABLE} limit 1", "sql"),
}


def latency(gateway: Gateway, n: int, results: Results) -> None:
    """Each small piece of work in turn, by Livius, plain PySpark and Spark Connect."""
    with gateway.client().session() as session:
        session.text(f"spark.range(1000).write.mode('overwrite').saveAsTable('{TABLE}')")
        file = session.rows(f"select input_file_name() from {TABLE} limit 1")[0][0]
        folder = file.rsplit("/", 1)[0]
        spec = json.loads(driver_spec(gateway).read_text())
        floors = {"plain PySpark": Floor(spec), "Spark Connect": Floor(spec, connect=True)}
        warming = Results()
        for round_ in range(n + WARM_UP):
            into = results if round_ >= WARM_UP else warming
            into.time("one https request", partial(healthz, session.client))
            for name, work in LIVIUS.items():
                into.time(name, partial(work, session))
            for name, floor in floors.items():
                for task in ("1 + 1", "select 1", "table"):
                    into.add(f"floor: {name}, {task}", floor.run(task, folder))
        for floor in floors.values():
            floor.end()


LARGE = (
    "select id, id * 2 as a, cast(id as string) as b, id / 3 as c, id % 2 = 0 as d "
    "from range(100000)"
)


def large_results(gateway: Gateway, n: int, results: Results) -> None:
    """A large result, until the client has its rows; what it costs the agent; and plain PySpark.

    The floor is `collect()`, which makes Python rows of it in the same process.
    """
    with gateway.client().session() as session:
        floor = Floor(json.loads(driver_spec(gateway).read_text()))
        agent = next(one for one in gateway.processes() if part_of(one.cmdline()) == "agent")
        warming = Results()
        for round_ in range(n + 1):
            into = results if round_ else warming
            before = sum(agent.cpu_times()[:2])
            into.time("sql 100,000 rows", partial(session.run, LARGE, "sql"))
            cpu = sum(agent.cpu_times()[:2]) - before
            into.add("sql 100,000 rows: the agent's CPU", cpu * 1000)
            into.add("floor: plain PySpark, collect() of 100,000 rows", floor.run("rows", LARGE))
        floor.end()


def healthz(client: Client) -> None:
    """The cheapest request there is."""
    client.http.get(client.base.partition("/v1/")[0] + "/healthz", timeout=10)


CANCELLED = {
    "a Python loop": ("while True: pass", "pyspark"),
    "a sleep in C": ("import ctypes; ctypes.CDLL(None).sleep(60)", "pyspark"),
    "a Scala loop": ("while (true) {}", "spark"),
    "a Spark job": ("spark.range(10**13).selectExpr('sum(id % 7)').collect()", "pyspark"),
    "a Spark job by SQL": ("select sum(id % 7) from range(10000000000000)", "sql"),
}


def cancelling(gateway: Gateway, n: int, results: Results) -> None:
    """From the request to cancel until the statement has ended, and until the next one has."""
    with gateway.client().session() as session:
        for name, (code, kind) in CANCELLED.items():
            for _ in range(n):
                number = session.submit(code, kind)
                while session.statement(number)["state"] == "waiting":
                    pass
                time.sleep(0.3)
                began = time.perf_counter()
                session.cancel(number)
                ended = session.wait(number)
                assert ended["state"] == "cancelled", (name, ended)
                results.add(f"cancel {name}", (time.perf_counter() - began) * 1000)
                session.run("1", kind)
                results.add(f"cancel {name}, next done", (time.perf_counter() - began) * 1000)


def first_byte(gateway: Gateway, n: int, results: Results) -> None:
    """From a print until a client that reads along has its text."""
    with gateway.client().session() as session:
        code = "import time\nprint(time.time(), flush=True)\ntime.sleep(0.2)"
        for _ in range(n):
            path = f"{session.path}/statements/{session.submit(code)}"
            body = session.client.call("GET", f"{path}?from=0").json()
            printed = float(body["output"]["data"]["text/plain"])
            results.add("from a print to its reader", (time.time() - printed) * 1000)
            session.wait(int(path.rpartition("/")[2]))


def streamed(gateway: Gateway, n: int, results: Results) -> None:
    """From a print until its event is at a client, and until its text is drawn in the portal."""
    code = (
        f"import time\nfor _ in range({n}):\n    time.sleep(0.2)\n"
        "    print(time.time(), flush=True)"
    )
    with gateway.client().session() as session, chromium() as browser:
        session.run("1")
        for name, data in session.events(session.submit(code)):
            if name == "output":
                delay = time.time() - float(data["text"].split()[-1])
                results.add("from a print to its event", delay * 1000)
        page = browser.new_page()
        sign_in(page, gateway)
        page.goto(session.portal_page)
        page.evaluate(DRAWN)
        number = session.submit(code)
        session.wait(number)
        for printed, drawn in page.evaluate("window.drawn"):
            results.add("from a print to its text in the portal", drawn - printed * 1000)


DRAWN = """
window.drawn = [];
new MutationObserver((changes) => {
  for (const one of changes) for (const node of one.addedNodes) {
    const printed = one.target.matches(".text") && Number(node.textContent.match(/\\S+/g).pop());
    // After the next frame it is on the screen.
    if (printed) requestAnimationFrame(() => setTimeout(() => drawn.push([printed, Date.now()])));
  }
}).observe(document.querySelector("main"), { childList: true, subtree: true });
"""


def holding(gateway: Gateway, count: int, results: Results) -> None:
    """A thousand questions held at once: what they cost, and how soon all are answered."""
    assert gateway.process is not None
    process = psutil.Process(gateway.process.pid)
    with gateway.client().session() as session:
        session.run("1")
        before = process.memory_info().rss
        number = session.submit("import time; time.sleep(15); print(time.time())")
        seconds, cpu, held = asyncio.run(_hold(session, number, count, process))
        printed = float(session.wait(number)["output"]["data"]["text/plain"])
    results.add(f"{count} held: memory", (held - before) / 2**20, "MB")
    results.add(f"{count} held: CPU while they wait", cpu * 100, "%")
    for answered in seconds:
        results.add(f"{count} held: from the end to the answer", (answered - printed) * 1000)


async def _hold(
    session: RemoteSession, number: int, count: int, process: psutil.Process
) -> tuple[list[float], float, int]:
    """Ask over plain streams: a client's pool of a thousand connections costs more than we do."""
    url = httpx.URL(f"{session.client.base}{session.path}/statements/{number}")
    context = ssl.create_default_context(cafile=str(session.client.http.verify))
    question = (
        f"GET {url.raw_path.decode()} HTTP/1.1\r\nHost: {url.netloc.decode()}\r\n"
        f"Authorization: {session.client.http.headers['Authorization']!s}\r\n"
        "Prefer: wait=30\r\nConnection: close\r\n\r\n"
    ).encode()

    async def ask() -> float:
        reader, writer = await asyncio.open_connection(url.host, url.port, ssl=context)
        writer.write(question)
        answer = await reader.read()
        answered = time.time()
        writer.close()
        assert b'"state":"available"' in answer, answer
        return answered

    asked = [asyncio.create_task(ask()) for _ in range(count)]
    await asyncio.sleep(8)
    process.cpu_percent()
    await asyncio.sleep(2)
    cpu = process.cpu_percent() / 100
    held = process.memory_info().rss
    return [await one for one in asked], cpu, held


def memory(gateway: Gateway, results: Results) -> None:
    """Resident and private megabytes of each part, and of each further repl."""
    assert gateway.process is not None
    with gateway.client().session() as session:
        session.text(f"spark.range(1000).write.mode('overwrite').saveAsTable('{TABLE}')")
        session.run("1 + 1", "spark")
        session.rows(f"select count(*) from {TABLE}")
        _note(results, "gateway", psutil.Process(gateway.process.pid))
        for process in gateway.processes():
            command = process.cmdline()
            _note(results, part_of(command), process)
        agent = next((gateway.home / "agent").iterdir())
        hand = by_hand(driver_spec(gateway), agent, repls=4)
    for kind in ("java", "python"):
        for value in hand[kind][1:]:
            results.add(f"memory: each further repl, in {kind}", value, "MB")


def _note(results: Results, part: str, process: psutil.Process) -> None:
    info = process.memory_full_info()
    results.add(f"memory: {part}", info.rss / 2**20, "MB")
    results.add(f"memory: {part}, its own", info.uss / 2**20, "MB")


def part_of(command: list[str]) -> str:
    """Name a process by its command line."""
    if Path(command[0]).name == "java":
        return "metastore" if "livius.Metastore" in command else "driver's Java"
    for sign, name in (
        ("livius_agent.supervisor", "supervisor"),
        ("livius_agent.zygote", "zygote or repl"),
    ):
        if sign in command:
            return name
    return "agent"


def notebook(gateway: Gateway, rounds: int, results: Results) -> None:
    """A notebook's cells with a client that sleeps five seconds between its questions."""
    client = gateway.client()
    with client.session() as session:
        session.text(f"spark.range(1000).write.mode('overwrite').saveAsTable('{TABLE}')")
    for _ in range(rounds):
        began = time.perf_counter()
        session = client.create()
        while client.call("GET", session.path).json()["state"] != "idle":
            time.sleep(5)
        results.add("notebook: create until idle", (time.perf_counter() - began) * 1000)
        query = f'spark.sql("SELECT COUNT(*) AS n FROM {TABLE}").show()'
        for name in ("first", "second"):
            began = time.perf_counter()
            number = session.submit(query, "spark")
            path = f"{session.path}/statements/{number}"
            while client.call("GET", path).json()["state"] != "available":
                time.sleep(5)
            results.add(f"notebook: {name} query", (time.perf_counter() - began) * 1000)
        results.time("notebook: delete", session.delete)
