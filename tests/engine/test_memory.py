"""The memory engine: the contract is in test_contract.py; here is what it does not do."""

from __future__ import annotations

from apex_rtm.engine.memory import MemoryEngine
from apex_rtm.revocations import Revocation
from tests.support.clock import FakeClock
from tests.support.core import make_journal, make_message


async def test_without_a_listener_the_journal_is_filled_all_the_same() -> None:
    engine = MemoryEngine(make_journal(), FakeClock())

    await engine.publish([make_message("a")])

    assert engine.journal.top("a").offset == 1


async def test_nothing_is_written_and_nothing_piles_up() -> None:
    clock = FakeClock()
    engine = MemoryEngine(make_journal(size=1), clock)
    await engine.publish([make_message("a")] * 10)
    assert len(engine.journal.evicted) == 9

    await engine.tidy()
    await engine.revoke(Revocation("SCOTT", None, None, clock.now()))
    await engine.stop()

    assert engine.journal.evicted == {}
    assert list(engine.revocations()) == []
    assert engine.trouble is None
