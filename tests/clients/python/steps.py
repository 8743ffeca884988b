"""The steps of a story: each has a name, and the first that fails ends the story."""

import os
import traceback
from contextlib import contextmanager

passed = 0


@contextmanager
def step(name):
    """Says how the block went; a block that raises ends the process."""
    global passed
    try:
        yield
    except Exception:
        print(f"FAILED  python: {name}:\n{traceback.format_exc()}")
        print(f"python: {passed} passed, 1 failed", flush=True)
        # At once: the other tasks of the story hold nothing worth closing.
        os._exit(1)
    passed += 1
    print(f"ok      python: {name}", flush=True)


def summary():
    """Prints the summary of a story that came to its end."""
    print(f"python: {passed} passed, 0 failed", flush=True)


def check(condition, message):
    """Raises `message` unless `condition` holds."""
    if not condition:
        raise AssertionError(message)
