"""Waiting for a condition, never for a fixed time."""

import time


class GiveUp(Exception):
    """Raised by a condition that can't come true any more: until() passes it on at once."""


def until(condition, timeout_s=20.0, what="the condition", interval_s=0.02):
    """Calls `condition` until it returns something true, and returns that. An exception of the
    last try is the cause of the TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while True:
        cause = None
        try:
            value = condition()
            if value:
                return value
        except GiveUp:
            raise
        except Exception as error:  # the condition may fail while a part is still starting
            cause = error
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s} s in vain for {what}") from cause
        time.sleep(interval_s)
