"""Asks one URL again and again, on new connections, until a file appears; each answer has to be 200 and complete.

Usage: steady.py URL STOP-FILE"""

import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PAUSE = 0.05


def ask(url):
    """What is wrong with the answer, or None."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            answer.read()
            return None if answer.headers.get("X-Completed") == "true" else "a part is missing"
    except (urllib.error.URLError, OSError) as error:
        return str(error)


def main():
    url, stop = sys.argv[1], Path(sys.argv[2])
    outcomes = []
    while not stop.exists():
        outcomes.append(ask(url))
        time.sleep(PAUSE)
    failures = [outcome for outcome in outcomes if outcome]
    print(f"    {len(outcomes)} requests, {len(failures)} failed {sorted(set(failures))[:3] or ''}")
    sys.exit(not outcomes or bool(failures))


if __name__ == "__main__":
    main()
