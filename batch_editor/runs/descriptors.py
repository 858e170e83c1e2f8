"""File descriptors: enough of them for the requests in flight, or a clear word before anything is sent."""

from __future__ import annotations

import resource

from batch_editor.errors import UsageError

# A request in flight holds a socket, and besides it the body's file or the socket of the link that it answered with;
# in a rehearsal the other end of the socket too. 1,024, a usual soft limit, fails 9 of 10 at 10,000 in flight.
EACH = 2
EACH_REHEARSED = 3
# The ledger, logs, threads. Where the system allows no more, many requests do without: not all hold two at once.
BESIDES = 256


def provide_descriptors(concurrency: int, *, rehearsal: bool = False) -> None:
    """Raise this process's soft limit as far as that many requests in flight may need, or the system allows.

    Raises:
        UsageError: the hard limit is too low.
    """
    each = EACH_REHEARSED if rehearsal else EACH
    wanted = each * concurrency + BESIDES
    needed = max(each * concurrency, concurrency + BESIDES)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        possible = hard // each if hard >= each * BESIDES else hard - BESIDES
        less = f"use --concurrency {possible} or less, or " if possible > 0 else ""
        raise UsageError(
            f"concurrency {concurrency} needs {needed} open files, and the system allows {hard};"
            f" {less}raise the limit (ulimit -Hn {needed})"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
