"""`notebookutils` in sessions: files, context, stop."""

import json
from pathlib import Path

import pytest

from support.gateway import Client, Gateway, RemoteSession
from support.waiting import wait_for

pytestmark = [pytest.mark.spark, pytest.mark.timeout(300)]

HOST = "onelake.dfs.fabric.microsoft.com"


@pytest.fixture(scope="module")
def files(gateway: Gateway) -> Path:
    facts = gateway.connection
    return Path(gateway.home, "onelake", facts["workspace_id"], facts["lakehouse_id"], "Files")


def fails(session: RemoteSession, code: str, kind: str = "pyspark") -> str:
    """An error's name and text."""
    output = session.run(code, kind)
    assert output["status"] == "error", output
    return f"{output['ename']}: {output['evalue']}"


def test_python_writes_reads_lists_copies_moves_and_removes(
    session: RemoteSession, gateway: Gateway, files: Path
) -> None:
    facts = gateway.connection
    base = f"abfss://{facts['workspace_id']}@{HOST}/{facts['lakehouse_id']}/Files"
    said = session.text(
        "fs = notebookutils.fs\n"
        "fs.rm('Files/nbu', True)\n"
        "print(fs.mkdirs('Files/nbu/deep'), fs.put('Files/nbu/a.txt', 'grüße'))\n"
        "print(fs.append('Files/nbu/a.txt', '!'), fs.head('Files/nbu/a.txt'))\n"
        "print(fs.head('Files/nbu/a.txt', 3), fs.put('Files/nbu/a.txt', 'new', True))\n"
        "print(fs.append('Files/nbu/log', 'x', createFileIfNotExists=True))\n"
        "print(fs.cp('Files/nbu/a.txt', 'Files/nbu/deep'), fs.exists('Files/nbu/deep/a.txt'))\n"
        "print(fs.cp('Files/nbu/deep', 'Files/nbu/copy', True), fs.head('Files/nbu/copy/a.txt'))\n"
        "print(fs.fastcp('Files/nbu/deep', '/lakehouse/default/Files/nbu/fast'))\n"
        "print(fs.mv('Files/nbu/log', 'Files/nbu/new/log', create_path=True))\n"
        "print(fs.mv('Files/nbu/copy/a.txt', 'Files/nbu/a.txt', overwrite=True))\n"
        "print(fs.rm('Files/nbu/copy'), fs.rm('Files/nbu/copy'), fs.exists('Files/nbu/copy'))"
    )
    assert said.splitlines() == [
        "True True",
        "True grüße!",
        "gr True",
        "True",
        "True True",
        "True new",
        "True",
        "True",
        "True",
        "True False False",
    ]
    found = sorted(str(path.relative_to(files)) for path in (files / "nbu").rglob("*"))
    inside = ["a.txt", "deep", "deep/a.txt", "fast", "fast/a.txt", "new", "new/log"]
    assert found == [f"nbu/{name}" for name in inside]
    listed = json.loads(
        session.text(
            "import json\n"
            "print(json.dumps([vars(one) for one in notebookutils.fs.ls('Files/nbu')]))"
        )
    )
    assert [one["name"] for one in listed] == ["a.txt", "deep", "fast", "new"]
    first = listed[0]
    assert first["path"] == f"{base}/nbu/a.txt"
    assert (first["size"], first["isFile"], first["isDir"]) == (3, True, False)
    assert abs(first["modifyTime"] / 1000 - (files / "nbu" / "a.txt").stat().st_mtime) < 1
    assert session.text(f"spark.read.text({first['path']!r}).first()[0]") == "'new'"


def test_every_spelling_of_a_place_is_one_place(session: RemoteSession, files: Path) -> None:
    (files / "spelling").mkdir(exist_ok=True)
    (files / "spelling" / "x").write_text("here")
    for place in (
        "Files/spelling/x",
        "./Files/spelling/x",
        "/lakehouse/default/Files/spelling/x",
        "file:/lakehouse/default/Files/spelling/x",
        f"abfss://sample@{HOST}/sample.Lakehouse/Files/spelling/x",
        f"file:{files}/spelling/x",
    ):
        assert session.text(f"notebookutils.fs.head({place!r})") == "'here'", place
    own = f"abfss://sample@{HOST}/sample.Lakehouse/Files/spelling/x"
    said = fails(session, f"notebookutils.fs.mv('Files/spelling/x', {own!r}, overwrite=True)")
    assert "itself" in said
    assert (files / "spelling" / "x").read_text() == "here"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("fs.ls('Files/not-there')", "FileNotFoundError: There is no "),
        ("fs.head('Files/../../x')", "PermissionError: Files/../../x contains . or .."),
        ("fs.put('Files/%2e%2e/%2e%2e/x', '')", "PermissionError"),
        ("fs.put('Other/x', '')", "below Files and Tables only"),
        ("fs.rm('Files', True)", "below Files and Tables only"),
        ("fs.ls('abfss://c@account.dfs.core.windows.net/x')", "is not OneLake"),
        ("fs.put('Files/refusals/a', 'y')", "FileExistsError"),
        ("fs.append('Files/refusals/none', 'y')", "createFileIfNotExists"),
        ("fs.cp('Files/refusals', 'Files/refusals2')", "Set recurse"),
        ("fs.cp('Files/refusals', 'Files/refusals/in', True)", "lies in it"),
        ("fs.mv('Files/refusals/a', 'Files/refusals/b')", "FileExistsError"),
        ("fs.mv('Files/refusals/a', 'Files/none/b')", "create_path"),
        ("fs.rm('Files/refusals')", "is not empty"),
        ("fs.head('Files/refusals')", "is a folder"),
        ("fs.head('Files/refusals/a', 0)", "at least 1, not 0"),
        ("fs.ls('')", "The path is empty"),
        ("fs.ls(None)", "TypeError"),
        ("fs.put('Files/refusals/n', 5)", "TypeError: The content is text"),
        ("fs.mount('a', '/b')", "Livius does not have notebookutils.fs.mount"),
        ("notebook.run('x', 90)", "Livius does not have notebookutils.notebook.run"),
        ("lakehouse.create('x')", "Livius does not have notebookutils.lakehouse.create"),
        ("variableLibrary.get('x')", "Livius does not have notebookutils.variableLibrary"),
    ],
)
def test_what_cannot_be_is_said(session: RemoteSession, files: Path, call: str, said: str) -> None:
    (files / "refusals").mkdir(exist_ok=True)
    for name in ("a", "b"):
        (files / "refusals" / name).write_text(name)
    assert said in fails(session, f"notebookutils.{call}")
    assert {path.name: path.read_text() for path in (files / "refusals").iterdir()} == {
        "a": "a",
        "b": "b",
    }


def test_every_name_of_it_is_the_same(session: RemoteSession) -> None:
    same = session.text(
        "import notebookutils, mssparkutils, notebookutils.fs, notebookutils.notebook\n"
        "from notebookutils import mssparkutils as old\n"
        "from notebookutils.mssparkutils import fs as third\n"
        "notebookutils is mssparkutils is old, third.exists('Files')"
    )
    assert same == "(True, True)"
    helped = session.text(
        "mssparkutils.help(); notebookutils.fs.help(); mssparkutils.fs.help('mv')"
    )
    assert "cp(src: str, dest: str, recurse: bool = False) -> bool" in helped
    assert "``create_path`` makes the folder above" in helped


def test_in_tasks_it_says_where_it_works(session: RemoteSession) -> None:
    said = fails(
        session,
        "def f(_):\n    import notebookutils\n    return notebookutils.fs.exists('Files')\n"
        "sc.parallelize([1], 1).map(f).collect()",
    )
    assert "works in a session's own code" in said


def test_scala_does_the_same(session: RemoteSession, files: Path) -> None:
    said = session.text(
        'notebookutils.fs.rm("Files/scala", true)\n'
        'println(notebookutils.fs.put("Files/scala/a.txt", "grüße"))\n'
        'println(mssparkutils.fs.head("Files/scala/a.txt", maxBytes = 3))\n'
        "import notebookutils.mssparkutils\n"
        'println(mssparkutils.fs.mv("Files/scala/a.txt", "Files/scala/new/b", createPath = true))\n'
        'val found = notebookutils.fs.ls("Files/scala/new")\n'
        "println((found.length, found(0).name, found(0).size, found(0).isFile))\n"
        'notebookutils.fs.help("cp")',
        "spark",
    )
    for line in ("true", "gr", "(1,b,7,true)", "cp(src: String, dest: String, recurse"):
        assert line in said, said
    assert (files / "scala" / "new" / "b").read_text() == "grüße"
    assert "contains . or .." in fails(session, 'notebookutils.fs.ls("Files/../..")', "spark")
    assert "Livius does not have it" in fails(session, 'notebookutils.notebook.run("x")', "spark")


def test_the_context_is_true_in_both_languages(session: RemoteSession, gateway: Gateway) -> None:
    facts = gateway.connection
    context = json.loads(
        session.text("import json\nprint(json.dumps(notebookutils.runtime.context))")
    )
    assert context["activityId"] == session.id
    assert context["currentWorkspaceId"] == facts["workspace_id"]
    assert context["defaultLakehouseId"] == facts["lakehouse_id"]
    assert (context["isForPipeline"], context["currentNotebookName"]) == (False, None)
    scala = session.text(
        "val c = notebookutils.runtime.context\n"
        'println(c("activityId"), c("isForPipeline").asInstanceOf[Boolean], c("currentRunId"))',
        "spark",
    )
    assert f"({session.id},false,null)" in scala


def test_synapses_env_is_the_contexts_in_both_languages(session: RemoteSession) -> None:
    names = {
        "getUserName": "userName",
        "getUserId": "userId",
        "getJobId": "activityId",
        "getWorkspaceName": "currentWorkspaceName",
        "getPoolName": "poolName",
        "getClusterId": "clusterId",
    }
    context = json.loads(
        session.text("import json\nprint(json.dumps(notebookutils.runtime.context))")
    )
    wanted = [context[of_context] for of_context in names.values()]
    assert all(isinstance(value, str) for value in wanted[:4])
    calls = ", ".join(f"mssparkutils.env.{name}()" for name in names)
    assert json.loads(session.text(f"print(json.dumps([{calls}]))")) == wanted
    said = session.text(f'println(Seq[String]({calls}).mkString(";"))', "spark")
    assert said == ";".join("null" if value is None else value for value in wanted)
    helped = session.text("mssparkutils.help(); mssparkutils.env.help('getJobId')")
    assert "env          who runs this session" in helped
    assert "getJobId() -> str | None\n    Return the session's id" in helped
    scala = session.text("mssparkutils.help(); mssparkutils.env.help()", "spark")
    assert "env          who runs this session" in scala
    assert all(f"{name}(): String" in scala for name in names)


@pytest.mark.parametrize("kind", ["pyspark", "spark"])
def test_stop_ends_the_session_and_all_say_so(client: Client, kind: str) -> None:
    session = client.create(name="stops itself")
    try:
        session.wait_idle()
        code = {
            "pyspark": "print('before')\nnotebookutils.session.stop()\nprint('after')",
            "spark": 'println("before"); notebookutils.session.stop(); println("after")',
        }[kind]
        stopping, behind = session.submit(code, kind), session.submit("print('never')")
        ended = wait_for(
            lambda: body if (body := session.get())["state"] == "dead" else None,
            seconds=60,
            what="the session ends",
        )
        assert "notebookutils.session.stop()" in ended["cancellationReason"]
        assert ended["result"] == "Succeeded"
        output = session.statement(stopping)["output"]
        assert (output["status"], output["data"]["text/plain"].strip()) == ("ok", "before")
        last = session.statement(behind)
        assert (last["state"], last["output"]["ename"]) == ("available", "SessionEnded")
    finally:
        session.delete()
