from __future__ import annotations

import threading
import warnings

from batch_editor.images.unwarned import unwarned


def test_threads_that_look_at_pictures_together_leave_the_warnings_of_a_process_as_they_were() -> None:
    before = list(warnings.filters)
    entered, met, left = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with unwarned():
            entered.set()
            met.wait(0.2)  # the other one is kept out meanwhile
        left.set()

    def second() -> None:
        entered.wait(5)
        with unwarned():
            met.set()
            left.wait(5)

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_nothing_is_warned_of_in_the_block() -> None:
    with unwarned():
        warnings.warn("of a large picture", stacklevel=1)
