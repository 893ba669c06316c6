"""The JavaScript of db/, cut out of its script and run in Node.js."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tools.plsql.check_mle import Module, modules
from tools.plsql.grammar import ROOT
from tools.plsql.script import read_script

HOST = Path(__file__).with_name("mle_host.mjs")
TIMEOUT_S = 30


def websocket_sender_module() -> Module:
    """The module of db/03_websocket_sender_module.sql."""
    (module,) = modules(read_script(ROOT / "db" / "03_websocket_sender_module.sql", ROOT).pieces)
    return module


async def run_module(source: str, *calls: tuple[str, list[Any]]) -> list[dict[str, Any]]:
    """Call exported functions one after the other; each answer is {"value"} or {"error"}.

    Fails when the module does not load: then it would be created INVALID in the database.
    """
    node = shutil.which("node")
    if node is None:
        pytest.fail("Node.js 18+ is needed: apt install nodejs")
    process = await asyncio.create_subprocess_exec(
        node,
        "--experimental-vm-modules",
        str(HOST),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    question = json.dumps({"source": source, "calls": calls}).encode()
    out, err = await asyncio.wait_for(process.communicate(question), TIMEOUT_S)
    assert process.returncode == 0, err.decode()
    answers: list[dict[str, Any]] = json.loads(out)
    return answers


async def send(*calls: tuple[str, list[Any]]) -> list[dict[str, Any]]:
    """Call functions of the real module."""
    return await run_module(websocket_sender_module().source, *calls)
