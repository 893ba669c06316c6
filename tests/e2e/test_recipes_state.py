"""docs/recipes with a state that must survive: a job that goes on while pages come and go, a chat."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from playwright.async_api import Page as Tab

from tests.db.sandbox.values import OracleError
from tests.e2e.conftest import run_recipe
from tests.e2e.parts import events_of, listening, remember
from tests.e2e.pictures import take
from tests.support.apex.door import Apex
from tests.support.chromium import SERVER_AWAY, open_tab

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SUCCESS = "#APEX_SUCCESS_MESSAGE p"
JOB = "job:daily_rebuild"


async def bar_is(tab: Tab, percent: int, state: str) -> None:
    await expect(tab.locator("#P10_STATE")).to_have_text(state)
    await expect(tab.locator("#bar")).to_have_js_property("value", percent)


async def test_job_progress(browser: Browser, tmp_path: Path) -> None:
    """Every page shows how far the job is, also one that was away, one that was reloaded, and one that is new."""
    with run_recipe("job-progress", tmp_path) as (apex, _recipe):
        database = apex.database
        async with open_tab(browser) as scott, open_tab(browser) as king, open_tab(browser) as late:
            await listening(apex, JOB, (scott, "SCOTT"), (king, "KING"))
            await remember(scott, "job-moved")
            database.hold_jobs()
            await scott.click("#START")
            await expect(scott.locator("#runs tbody tr")).to_contain_text(["RUNNING"])
            job = database.run_job()
            database.wake_job(2)
            for tab in (scott, king):
                await bar_is(tab, 40, "Step 2 of 5")
            await take(scott, "recipe-job-progress")

            await king.reload()
            await bar_is(king, 40, "Step 2 of 5")
            address = king.url
            await king.goto("about:blank")
            database.wake_job()
            await bar_is(scott, 60, "Step 3 of 5")
            await king.goto(address)
            await listening(apex, JOB, (late, "LATE"))
            await apex.heard(JOB, "KING")
            for tab in (king, late):
                await bar_is(tab, 60, "Step 3 of 5")

            database.wake_job(2)
            job.result(timeout=10)
            for tab in (scott, king, late):
                await expect(tab.locator(SUCCESS)).to_have_text("The sales are rebuilt.")
                await bar_is(tab, 100, "The sales are rebuilt.")
                await expect(tab.locator("#runs tbody tr")).to_contain_text(["DONE"])
            moves = [event["data"]["payload"]["percent"] for event in await events_of(scott)]
            assert moves == [20, 40, 60, 80, 100, 100]


async def test_a_job_that_fails_says_so(browser: Browser, tmp_path: Path) -> None:
    def fail(seconds: int) -> None:
        raise OracleError(-1555, f"snapshot too old after {seconds} s")

    with run_recipe("job-progress", tmp_path) as (apex, _recipe):
        apex.database.session.machine.supplied["dbms_session.sleep"] = fail
        async with open_tab(browser) as tab:
            await listening(apex, JOB, (tab, "SCOTT"))
            await tab.click("#START")
            await expect(tab.locator("#runs tbody tr")).to_contain_text(["RUNNING"])
            with pytest.raises(OracleError, match="ORA-01555"):
                apex.database.run_job().result(timeout=10)
            apex.drain()
            await expect(tab.locator(SUCCESS)).to_have_text("The rebuild has failed.")
            await expect(tab.locator("#runs tbody tr")).to_contain_text(["FAILED"])
            assert "snapshot" not in (await tab.content())


async def say(tab: Tab, text: str) -> None:
    await tab.fill("#P10_CHAT_TEXT", text)
    await tab.click("#SEND")
    await expect(tab.locator("#P10_CHAT_TEXT")).to_have_value("")


EVIL = "<img src=x onerror=document.title='owned'>"


async def test_chat(browser: Browser, tmp_path: Path) -> None:
    """Said to all, kept for those who come later, with names that nobody can forge, and who is in the room."""
    with run_recipe("chat", tmp_path, presence_interval_s=0.1) as (apex, _recipe):
        async with open_tab(browser) as scott, open_tab(browser) as king:
            await listening(apex, "chat:room:general", (scott, "SCOTT"), (king, "KING"))
            for tab in (scott, king):
                await expect(tab.locator("#who")).to_have_text("KING, SCOTT")
            await say(scott, "Good morning. Is the rebuild through?")
            await say(king, "Since six. Grüße aus Kiel!")
            await expect(scott.locator("#messages tbody tr")).to_have_count(2)
            await take(scott, "recipe-chat")
            await say(king, "👋 & " + EVIL)
            await say(king, "   ")
            rows = ["SCOTTGood morning. Is the rebuild through?", "KINGSince six. Grüße aus Kiel!", f"KING👋 & {EVIL}"]
            for tab in (scott, king):
                await expect(tab.locator("#messages tbody tr")).to_have_text(rows)
                assert await tab.title() == "Chat"
            async with open_tab(browser) as jones:
                await listening(apex, "chat:room:general", (jones, "JONES"))
                await expect(jones.locator("#messages tbody tr")).to_have_text(rows)
                await expect(scott.locator("#who")).to_have_text("JONES, KING, SCOTT")
            await expect(scott.locator("#who")).to_have_text("KING, SCOTT")
            await lines(apex, scott, king)


async def lines(apex: Apex, scott: Tab, king: Tab) -> None:
    """A hundred lines at once: every page shows the last fifty, in order, after a few refreshes."""
    before = int(await scott.locator("#messages").get_attribute("data-refreshes") or 0)
    apex.plsql(
        "begin for i in 1 .. 100 loop "
        "chat_api.say(p_room => 'general', p_user_name => 'JOB', p_text => 'Line ' || i); end loop; end;"
    )
    for tab in (scott, king):
        await expect(tab.locator("#messages tbody tr")).to_have_text([f"JOBLine {n}" for n in range(51, 101)])
    after = int(await scott.locator("#messages").get_attribute("data-refreshes") or 0)
    assert 1 <= after - before <= 8


async def test_chat_over_a_restart_of_the_server(browser: Browser, tmp_path: Path) -> None:
    """What is said while the server is away waits in the outbox, and the pages catch up."""
    with run_recipe("chat", tmp_path) as (apex, _recipe):
        async with open_tab(browser, may_complain=SERVER_AWAY) as scott, open_tab(browser) as king:
            await listening(apex, "chat:room:general", (scott, "SCOTT"))
            apex.server.kill()
            await king.goto("about:blank")
            apex.plsql("begin chat_api.say(p_room => 'general', p_user_name => 'KING', p_text => 'Anybody?'); end;")
            apex.server.start()
            apex.drain(at_once=True)
            await apex.heard("chat:room:general", "SCOTT")
            await expect(scott.locator("#messages tbody tr")).to_have_text(["KINGAnybody?"])
            await expect(scott.locator("#who")).to_have_text("SCOTT")


async def test_chat_without_history(browser: Browser, tmp_path: Path) -> None:
    """What is said is appended everywhere in one order, as text, and under the name that APEX knows."""
    with run_recipe("chat", tmp_path) as (apex, _recipe):
        async with open_tab(browser) as scott, open_tab(browser) as king:
            await listening(apex, "chat:room:lobby", (scott, "SCOTT"), (king, "KING"), page=11)
            for tab, text in ((scott, "Hello"), (king, EVIL), (scott, "Bye")):
                await tab.fill("#P11_CHAT_TEXT", text)
                await tab.click("#SEND")
                await expect(tab.locator("#P11_CHAT_TEXT")).to_have_value("")
            for tab in (scott, king):
                await expect(tab.locator("#log li")).to_have_text(["SCOTT: Hello", f"KING: {EVIL}", "SCOTT: Bye"])
                assert await tab.title() == "Chat without history"
