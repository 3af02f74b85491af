"""The process between a Python program and its JVM: when the program ends in any way, the JVM ends too.

Run by path with the standard library alone: `python -I -S guard.py PARENT_PID GRACE_S LOG DOOMED COMMAND...`.
Its standard input is a pipe from the parent: `T` terminates the JVM, `K` kills it, end of file means that the parent
is gone. It writes one line, the JVM's pid or `error ...`, and ends with the JVM. DOOMED is a folder to delete once the
parent is gone (a temporary data folder), or empty.

A separate process, because a thread or an exit handler dies with `kill -9` of the parent, and because Linux's
parent-death signal fires when the *thread* that forked ends. Its own session, because Ctrl-C in a terminal reaches
every process of the foreground group: the broker would be gone before the workers had committed.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
PARENT_CHECK_S = 1.0
"""The pipe alone is not enough: a forked child of the parent may hold its other end open for ever."""


def die_with_guard() -> None:
    """Ask Linux to kill the JVM if the guard itself is killed. Runs in the child; the guard has one thread."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def watch(jvm: subprocess.Popen[bytes], parent: int, grace_s: float) -> bool:
    """Carry out the parent's commands until the JVM has ended; true if the parent went away first."""
    wake_r, wake_w = os.pipe()
    os.set_blocking(wake_w, False)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: jvm.terminate())
    orphaned = False
    kill_at = float("inf")
    sources = [0, wake_r]
    while jvm.poll() is None:
        ready, _, _ = select.select(sources, [], [], PARENT_CHECK_S if kill_at == float("inf") else 0.05)
        if wake_r in ready:
            os.read(wake_r, 512)
        command = os.read(0, 1) if 0 in ready else None
        if command == b"T":
            jvm.terminate()
        elif command == b"K":
            jvm.kill()
        elif not orphaned and (command == b"" or os.getppid() != parent):
            orphaned = True
            sources = [wake_r]
            jvm.terminate()
            kill_at = time.monotonic() + grace_s
        if time.monotonic() >= kill_at:
            jvm.kill()
    return orphaned


def main(argv: list[str]) -> int:
    """Start the command, report its pid, watch it; returns its exit status, a signal as 128 plus its number."""
    parent, grace_s, log, doomed, command = int(argv[0]), float(argv[1]), argv[2], argv[3], argv[4:]
    try:
        with open(log, "ab") as out:  # noqa: PTH123 - pathlib would double the start-up time of this process
            jvm = subprocess.Popen(  # noqa: S603 - the command is built by EmbeddedKafka
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_guard,  # noqa: PLW1509 - the guard has one thread, so nothing can hold a lock here
            )
    except OSError as error:
        os.write(1, f"error {error}\n".encode())
        return 127
    os.write(1, f"{jvm.pid}\n".encode())
    if watch(jvm, parent, grace_s) and doomed:
        shutil.rmtree(doomed, ignore_errors=True)
    return jvm.returncode if jvm.returncode >= 0 else 128 - jvm.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
