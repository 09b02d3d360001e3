"""Puts results into docs/benchmarks.md, each between its markers; the text around stays."""

import json
import re

from lib import process

RESULTS = process.BUILD / "bench" / "results"
DOCUMENT = process.ROOT / "docs" / "benchmarks.md"


def _fill(text, name, content):
    begin, end = f"<!-- {name}: -->", f"<!-- :{name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{DOCUMENT.name} has no place for {name}: {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text)


def _machine(machine):
    return "\n".join(["| | |", "| --- | --- |",
                      *(f"| {name} | {value} |" for name, value in machine.items())])


def write():
    text = DOCUMENT.read_text()
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    if not results:
        raise FileNotFoundError(f"no results in {RESULTS}: run make bench")
    for result in results:
        content = (f"{result['markdown']}\n\n{result['machine']['date']}, {result['rounds']} rounds, "
                   f"load before: {result['load_before']:.1f}, stolen by the hypervisor: "
                   f"{result['stolen']:.2%}. `make bench ROW={result['row']}`")
        text = _fill(text, result["row"], content)
    newest = max(results, key=lambda result: result["machine"]["date"])
    DOCUMENT.write_text(_fill(text, "machine", _machine(newest["machine"])))
    print(f"{DOCUMENT}: {len(results)} rows")
