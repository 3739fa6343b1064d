"""Interrupt, restart and kill the kernel `livius` as an editor does; print what came of each."""

import json

from jupyter_client.manager import start_new_kernel


def run(client, code):
    said = []

    def hear(message):
        content = message["content"]
        said.append(content.get("text") or content.get("ename") or "")

    reply = client.execute_interactive(code, timeout=60, output_hook=hear)
    return reply["content"]["status"], "".join(said)


manager, client = start_new_kernel(startup_timeout=60, kernel_name="livius")
found = {"first": run(client, "print('one')"), "second": run(client, "print('two')")}
waiting = client.execute("print('begun', flush=True)\nimport time; time.sleep(60)")
while True:
    message = client.get_iopub_msg(timeout=60)
    if message["content"].get("text") == "begun\n":
        break
manager.interrupt_kernel()
found["interrupted"] = client.get_shell_msg(timeout=30)["content"]["ename"]
found["after"] = run(client, "print('three')")
manager.restart_kernel(now=True)
client.wait_for_ready(timeout=60)
found["restarted"] = run(client, "print('four')")
client.stop_channels()
manager.shutdown_kernel(now=True)
print(json.dumps(found))
