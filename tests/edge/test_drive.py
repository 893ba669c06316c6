"""Work that runs at once: what it waits for, what it raises, and how it is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apex_rtm.edge.drive import drive


async def test_what_has_nothing_to_wait_for_is_done_at_once() -> None:
    done = []

    async def work() -> None:
        done.append(await _nothing())

    assert drive(work(), asyncio.get_running_loop()) is None
    assert done == [1]


async def _nothing() -> int:
    return 1


async def test_what_waits_goes_on_as_a_task() -> None:
    steps: list[Any] = []
    first, second = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def work() -> None:
        steps.append("begun")
        await first.wait()
        steps.append(await second)
        steps.append(asyncio.current_task() is not None)
        async with asyncio.timeout(5):
            await asyncio.sleep(0)

    task = drive(work(), asyncio.get_running_loop())

    assert steps == ["begun"]
    assert task is not None
    first.set()
    second.set_result("second")
    await task
    assert steps == ["begun", "second", True]


async def test_what_it_waits_for_may_fail() -> None:
    future = asyncio.get_running_loop().create_future()
    caught = []

    async def work() -> None:
        try:
            await future
        except ZeroDivisionError as error:
            caught.append(error)
            await asyncio.sleep(0)
            raise KeyError from None

    task = drive(work(), asyncio.get_running_loop())

    assert task is not None
    future.set_exception(ZeroDivisionError())
    with pytest.raises(KeyError):
        await task
    assert len(caught) == 1


async def test_what_it_raises_before_it_waits_is_raised_here() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        drive(work(), asyncio.get_running_loop())


@pytest.mark.parametrize("turns", [0, 1, 3], ids=["before it has begun", "as it begins", "later"])
async def test_it_can_be_cancelled(turns: int) -> None:
    ended, awaited = [], asyncio.get_running_loop().create_future()

    async def work() -> None:
        try:
            await awaited
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    task = drive(work(), asyncio.get_running_loop())
    assert task is not None
    for _ in range(turns):
        await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended == [True]
    assert awaited.cancelled()


async def test_it_can_be_cancelled_where_it_waits_for_its_next_turn() -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    task = drive(work(), asyncio.get_running_loop())
    assert task is not None

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
