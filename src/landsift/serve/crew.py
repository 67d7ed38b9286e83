"""Several processes that answer at one port: started, watched, replaced when one dies, and stopped together.

Python runs one thread at a time, so one process makes use of little more than one core. The processes share
nothing but the galleries on disk, through which each sees what the others write, and the folder of counts.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from landsift.errors import LandsiftError, ServerStopped
from landsift.serve.archive import Archive
from landsift.serve.listening import listening, reserved
from landsift.serve.options import ServeOptions
from landsift.serve.process import GOODBYE_S, answer_requests
from landsift.serve.tally import Tally

__all__ = ["lead"]

_log = logging.getLogger("uvicorn.error")
_SPAWN = multiprocessing.get_context("spawn")  # a fork would copy the locks of threads that it does not copy
_READY = ""


@dataclass(frozen=True, eq=False)
class _Member:
    """A process of the crew, and the end of a pipe through which it says that it is ready, or why not."""

    process: BaseProcess
    told: Connection

    def until_ready(self) -> None:
        """Wait until it takes requests.

        Raises:
            ServerStopped: It never will.
        """
        try:
            problem = self.told.recv()
        except EOFError:
            self.process.join()
            problem = f"its exit status is {self.process.exitcode}"
        if problem != _READY:
            raise ServerStopped(f"A process of the server could not start ({problem}); start the server anew")


def lead(galleries: Sequence[str | Path], options: ServeOptions, on_start: Callable[[int], None]) -> None:
    """Serve with ``options.processes`` processes until this one is interrupted.

    Args:
        galleries, options: What to serve, and how.
        on_start: Called with the port when all are ready.

    Raises:
        UsageError: No gallery, or one twice, or the address is taken.
        GalleryError: One cannot be opened.
        ServerStopped: A process cannot be started, or one that died cannot be replaced.
    """
    counting = tempfile.TemporaryDirectory(prefix="landsift-counts-")
    with _stopped_by_signals(), reserved(options) as door, counting as counts:
        options = replace(options, port=door.getsockname()[1])
        Archive.open(galleries, writable=not options.read_only).close()  # what is wrong is told at once
        members: dict[int, _Member] = {}

        def start(number: int) -> None:
            ours, theirs = _SPAWN.Pipe(duplex=False)
            given = (list(galleries), options, Path(counts), number, theirs)
            members[number] = _Member(_SPAWN.Process(target=_serve, args=given, daemon=True), ours)
            members[number].process.start()
            theirs.close()  # so that the pipe ends with the process

        try:
            for number in range(options.processes):
                start(number)
            for member in members.values():
                member.until_ready()
            on_start(options.port)
            while True:
                wait([member.process.sentinel for member in members.values()])
                for number, member in list(members.items()):
                    if not member.process.is_alive():
                        status = member.process.exitcode
                        _log.warning("A process of the server ended (%s); another replaces it.", status)
                        start(number)
                        members[number].until_ready()
        finally:
            _stop([member.process for member in members.values()])


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let a request to end this process interrupt it as Ctrl-C does, and end it once all is put away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended = False

    def interrupt(number: int, _: FrameType | None) -> None:
        nonlocal ended
        ended = number == signal.SIGTERM
        raise KeyboardInterrupt

    # Ctrl-C too: who was started in the background of a shell would not hear it otherwise.
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if ended:
            signal.raise_signal(signal.SIGTERM)


def _stop(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(2 * GOODBYE_S)
        if process.is_alive():
            process.kill()
            process.join()


# -- in a member -------------------------------------------------------------------------------------------


def _serve(
    galleries: Sequence[str | Path], options: ServeOptions, counts: Path, number: int, told: Connection
) -> None:
    threading.Thread(target=_end_with_the_lead, name="landsift-watch", daemon=True).start()
    with suppress(KeyboardInterrupt):
        try:
            with listening(options, shared=True) as listener:
                tally = Tally(counts / f"{number}.json")
                answer_requests(galleries, options, listener, lambda: told.send(_READY), tally)
        except LandsiftError as error:
            told.send(str(error))


def _end_with_the_lead() -> None:
    """A lead that was killed can stop nobody; nobody goes on without it."""
    lead_ = multiprocessing.parent_process()
    if lead_ is not None:
        wait([lead_.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
