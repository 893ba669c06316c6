"""The Python side of the load generator (bench/load): one process, driven by lines, answering in JSON."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from bench.build import load_program

STAMP: Final = 100_000_000_000_000  # replaced by the time of sending, in microseconds; always 15 digits
_numbers = itertools.count()


class LoadFailed(Exception):
    """The generator or the server under test gave up."""


class Answer(dict[str, Any]):
    """One answer, with the figures that everything is made of."""

    @property
    def cpu_us(self) -> float:
        """Processor time of the server, in microseconds."""
        return float(self["server_cpu_s"]) * 1e6


class Generator:
    """Connections to one server. `with Generator() as g: g.watch(pids); g.open(…); g.publish(…)`."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="bench-load-")
        self._process = subprocess.Popen(
            [str(load_program())], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def __enter__(self) -> Generator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what it never read
                    pipe.close()
        self._directory.cleanup()

    def watch(self, pids: Sequence[int]) -> None:
        """Name the processes whose processor time is the server's."""
        self._ask("watch " + " ".join(map(str, pids)))

    def open(self, count: int, scripts: Iterable[str] | None = None, **options: Any) -> Answer:
        """Open `count` more subscribers and let each say its script (steps separated by tabs, `<` only listens)."""
        if scripts is not None:
            options["script"] = self._write("\n".join(itertools.islice(scripts, count)) + "\n")
        return self._good("open", count=count, **options)

    def publish(self, template: bytes, **options: Any) -> Answer:
        """Publish and count. Raises LoadFailed unless everything was accepted and arrived, each once."""
        return self._good("publish", template=self._write(template.decode()), **options)

    def say(self, scripts: Iterable[str], expect: int) -> Answer:
        """Let every subscriber send one frame and wait for `expect` deliveries altogether."""
        return self._good("say", script=self._write("\n".join(scripts) + "\n"), expect=expect)

    def rest(self, seconds: float) -> Answer:
        """Let time pass, answering pings."""
        return self._good("rest", seconds=seconds)

    def _good(self, command: str, **options: Any) -> Answer:
        answer = self._ask(" ".join([command, *(f"{key}={value}" for key, value in options.items())]))
        if not answer["ok"]:
            raise LoadFailed(f"{command}: {_what_went_wrong(answer)}")
        return answer

    def _ask(self, line: str) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
        except BrokenPipeError as error:
            raise LoadFailed("the generator has ended") from error
        text = self._process.stdout.readline()
        if not text:
            raise LoadFailed(f"the generator ended at: {line[:100]}")
        answer = Answer(json.loads(text))
        if "error" in answer:
            raise LoadFailed(answer["error"])
        return answer

    def _write(self, text: str) -> Path:
        path = Path(self._directory.name) / str(next(_numbers))
        path.write_text(text)
        return path


def _what_went_wrong(answer: Answer) -> str:
    """Say in words what was not as it should be."""
    words = []
    if "answered" in answer:
        words.append(f"{answer['answered']:,} publications were answered")
        words.append(
            f"{answer['deliveries']:,} deliveries, {answer['least']:,} to {answer['most']:,} for each subscriber"
        )
    if answer.get("refused"):
        words.append(f"{answer['refused']:,} refused: {answer['refusal'][:200]}")
    if answer.get("closed"):
        code = answer["close_code"]
        words.append(f"{answer['closed']:,} connections ended " + (f"with code {code}" if code else "without a word"))
    if answer.get("strange"):
        words.append(f"{answer['strange']:,} frames were no publications")
    return ", ".join(words) or json.dumps(answer)
