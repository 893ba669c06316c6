"""Questions where there is one node only: nobody else is asked, and the answer says nothing of nodes."""

from __future__ import annotations

import pytest

from apex_rtm.overview import connections_of, describe_channels, presence_of
from apex_rtm.revocations import Revocation
from apex_rtm.survey import answer, ask_channels, ask_connections, ask_presence, revoke_everywhere, whole_log
from tests.support.core import Core


@pytest.fixture
async def core() -> Core:
    core = await Core(secured=True).start()
    core.connect("SCOTT", "a").subscribe("a")
    await core.publish("a")
    return core


async def test_one_node_answers_for_itself(core: Core) -> None:
    assert await ask_channels(core.hub, "", 10) == describe_channels(core.hub, "", 10)
    assert await ask_connections(core.hub, None, None, 10) == connections_of(core.hub, None, None, 10)
    assert await ask_presence(core.hub, "a") == presence_of(core.hub, "a")
    assert await revoke_everywhere(core.hub, Revocation("SCOTT", None, None, core.clock.now())) == (1, 0)


async def test_the_log_of_one_node_is_whole(core: Core) -> None:
    async with whole_log(core.hub, "a"):
        assert len(core.journal.channels["a"].entries) == 1


async def test_a_question_of_a_later_release_is_not_answered(core: Core) -> None:
    assert answer(core.hub, b'{"kind":"weather"}') == b"null"
