"""Environments with real Spark: what is published is there, in every language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from spark.test_unchanged_programs import PROGRAMS, run
from support.clients import client_python
from support.environments import RemoteEnvironment, make_jar, make_wheel
from support.gateway import RUNTIME, Client, Gateway, RemoteSession

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(400)]

SPARK = {"1.3": "3.5.5", "2.0": "4.1.1"}
SCALA = """
package example
class Twice extends org.apache.hadoop.hive.ql.exec.UDF {
  def evaluate(x: Int): Int = x * 2
}
object Place { def name: String = "from the jar" }
"""


@pytest.fixture(scope="module", params=sorted({"1.3", RUNTIME}))
def runtime(request: pytest.FixtureRequest) -> str:
    """Each runtime whose sessions the tests have; both in an ordinary run."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def environment(
    client: Client, runtime: str, tmp_path_factory: pytest.TempPathFactory
) -> RemoteEnvironment:
    """Published by Fabric's own client: packages by name, a wheel, a jar, a module, a property."""
    folder = tmp_path_factory.mktemp("libraries")
    module = folder / "own_module.py"
    module.write_text("ANSWER = 42\n")
    libraries = (
        make_wheel(folder, "livius_hello", "1.2", "def greet(x): return f'hello {x}'\n"),
        make_jar(folder, "example", SCALA, runtime),
        module,
    )
    program, workspace = PROGRAMS / "fabric_publish.py", client.gateway.connection["workspace_id"]
    command = (client_python("fabric"), program, workspace, runtime, *libraries)
    return RemoteEnvironment(client, run(client.gateway, *command).strip())


@pytest.fixture(scope="module")
def with_environment(client: Client, environment: RemoteEnvironment) -> Iterator[RemoteSession]:
    with client.session(conf=environment.conf) as session:
        yield session


def test_its_sessions_have_its_runtime(with_environment: RemoteSession, runtime: str) -> None:
    assert with_environment.text("print(spark.version)") == SPARK[runtime]


def test_libraries_are_there_in_the_repl_and_in_workers(with_environment: RemoteSession) -> None:
    session = with_environment
    code = "import cowsay, livius_hello, own_module; print(livius_hello.greet(own_module.ANSWER))"
    assert session.text(code) == "hello 42"
    code = """
from pyspark.sql.functions import udf
@udf("string")
def greet(x):
    import cowsay, own_module, livius_hello
    return livius_hello.greet(x + own_module.ANSWER)
print([row[0] for row in spark.range(2).select(greet("id")).collect()])
"""
    assert session.text(code) == "['hello 42', 'hello 43']"


def test_its_font_stands_behind_those_of_a_figure(with_environment: RemoteSession) -> None:
    code = """
import io, warnings
import matplotlib.pyplot as plt
plt.subplots()[1].set_title("台北 中文 简体 かな 한국어", fontfamily="DejaVu Sans")
with warnings.catch_warnings():
    warnings.filterwarnings("error", "Glyph")
    for kind in ("png", "svg", "pdf"):
        plt.savefig(io.BytesIO(), format=kind)
"""
    assert "image/png" in with_environment.run(code)["data"]


def test_a_jars_classes_are_there_in_scala_and_in_sql(with_environment: RemoteSession) -> None:
    session = with_environment
    assert "from the jar" in session.text("example.Place.name", kind="spark")
    code = "sc.parallelize(Seq(1)).map(_ => example.Place.name).first()"
    assert "from the jar" in session.text(code, kind="spark")
    session.run("create temporary function twice as 'example.Twice'", kind="sql")
    assert session.rows("select twice(21)") == [[42]]


def test_its_properties_are_set(with_environment: RemoteSession) -> None:
    word = "print(spark.conf.get('spark.example.word'))"
    assert with_environment.text(word) == "blue"


def test_pip_install_goes_above_the_environment(with_environment: RemoteSession) -> None:
    session = with_environment
    code = "import sys; print([p for p in sys.path if 'environments' in p or 'site-pack' in p])"
    paths = session.text(code)
    first, second, third, *_ = eval(paths)
    assert "environments" not in first
    assert second.endswith("files")
    assert third.endswith("python")


def test_fabrics_own_client_stages_publishes_and_sees_why_it_failed(
    gateway: Gateway, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "livius_made", "3.0", "x = 1\n")
    workspace = gateway.connection["workspace_id"]
    program = PROGRAMS / "fabric_environment.py"
    found = json.loads(run(gateway, client_python("fabric"), program, workspace, wheel))
    libraries = ["cowsay", "livius_made-3.0-py3-none-any.whl"]
    assert found == {
        "description": "by the client",
        "listed": True,
        "compute": [4, "Starter Pool", ["blue"]],
        "older shape": {"spark.example.word": "blue"},
        "staged": [["cowsay", ">=6"], ["livius_made-3.0-py3-none-any.whl", None]],
        "published": ["Success"] * 3,
        "libraries": libraries,
        "spark": "28g",
        "state": ["Success"] * 3,
        "failed": "Failed",
        "still": libraries,
        "gone": 404,
    }
