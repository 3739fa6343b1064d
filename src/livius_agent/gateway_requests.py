"""Questions of user code that only the gateway can answer, and the way back of the answers.

They wait in the JVM (`livius.GatewayRequests`), where Python and Scala leave them alike. Each is
carried over the link with an id; a redial sends it again, so it may be answered twice, which is
harmless.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from livius_agent.wire import (
    LONGEST_ASK,
    SECRET_ASKS,
    AgentRequest,
    Answer,
    FromAgent,
    whole,
)

_LOOK_AGAIN_MS: Final = 20_000
_ANSWER_WITHIN: Final = 30.0


class GatewayRequests:
    """Carries questions. ``say`` sends a message.

    ``stops`` tells a repl that its session is to end with the statement that runs; it returns False
    where none does. ``hand_out`` learns each secret before the code that asked for it does.
    """

    def __init__(
        self,
        driver: Any,
        say: Callable[[FromAgent], None],
        stops: Callable[[str], bool],
        hand_out: Callable[[str], None],
    ) -> None:
        self._driver = driver
        self._say = say
        self._stops = stops
        self._hand_out = hand_out
        self._open: dict[int, tuple[AgentRequest, asyncio.Future[Answer]]] = {}

    def __iter__(self) -> Iterator[AgentRequest]:
        """Iterate over the open requests, which a new link has to send again."""
        return iter([ask for ask, _ in self._open.values()])

    async def run(self) -> None:
        """Carry questions until the JVM ends."""
        async with asyncio.TaskGroup() as group:
            while True:
                text = await asyncio.to_thread(self._driver.nextAsk, _LOOK_AGAIN_MS)
                if text is not None:
                    group.create_task(self._carry(text), name="ask")

    def answered(self, answer: Answer) -> None:
        """Take an answer; one that nobody waits for any more is dropped."""
        _, waiting = self._open.get(answer.id, (None, None))
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def _carry(self, text: str) -> None:
        question = json.loads(text)
        answer = await self._answer(text, question)
        await asyncio.to_thread(self._driver.answerAsk, question["id"], json.dumps(answer))

    async def _answer(self, text: str, question: dict[str, Any]) -> dict[str, Any]:
        if question["what"] == "stop" and self._stops(question["repl"]):
            return {"value": {}}  # the end of the running statement tells it
        if len(text) > LONGEST_ASK:
            return _failed("TooLarge", f"A question has at most {LONGEST_ASK} characters.")
        try:
            ask = msgspec.convert(whole(question), AgentRequest)
        except msgspec.ValidationError as error:
            return _failed("Malformed", f"This can't be asked: {error}.")
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open[ask.id] = ask, waiting
        self._say(ask)
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                answer = await waiting
        except TimeoutError:
            return _failed(
                "GatewayUnreachable",
                f"The gateway did not answer within {_ANSWER_WITHIN:.0f} seconds. It may be "
                "starting again: try again.",
            )
        finally:
            del self._open[ask.id]
        if answer.error is not None:
            return _failed(answer.code or "", answer.error)
        body = dict(answer.body or {})
        if ask.what in SECRET_ASKS:
            self._hand_out(str(body["value"]))
        return {"value": body}


def _failed(code: str, sentence: str) -> dict[str, Any]:
    return {"error": sentence, "code": code}
