#!/usr/bin/env python3
"""The table of what layers cost, from criterion's results.

  cargo bench -p bartizan-benches --bench layers && ./benches/table.py [--all]

Figures are nanoseconds per call, "one thread / two threads", over the service without a layer, or over the insertion of a
header where it says so: the tenth percentile of criterion's samples, because what other programs disturb is never faster
for it. All are of one run. A floor is the same readings of the clock and the same atomic operations written by hand and
nothing else; nanoseconds move with the machine, the ratios within a run hardly do. Budgets are absolute all the same, and
were set on a machine that read its clock in 9 ns and needed 5 for a compare-and-swap. Allocations are counted by the test
`allocations`. With --all, every row that was measured.
"""
import glob
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CRITERION = os.path.join(HERE, "..", "target", "criterion")
PARALLEL = {"seq": "par2", "http": "http-par2", "raw": "raw-par2"}

# label; ours; base; floor; best other; tower-resilience 0.13; budgets on one and two threads.
# Rows are (group, row); a base is subtracted from ours, the floor and the others of its group.
SEQ, HTTP, RAW = "seq", "http", "raw"
NONE, INSERTION = "none", "header insertion"
ROWS = [
    ("circuit breaker", (SEQ, "bartizan breaker"), NONE, (SEQ, "floor of a breaker"),
     (RAW, "failsafe, consecutive failures"), (SEQ, "tower-resilience breaker, count window"), 25, 50),
    ("rate limit", (SEQ, "bartizan rate limit"), NONE, (SEQ, "floor of a rate limit"),
     (RAW, "governor"), (SEQ, "tower-resilience rate limit, token bucket"), 15, 30),
    ("rate limit by number, 10k keys", (SEQ, "bartizan rate limit by number, 10k keys"), "none, by number", None,
     (RAW, "governor by number, 10k keys"), None, 40, 60),
    ("rate limit by text, 10k keys", (SEQ, "bartizan rate limit by text, 10k keys"), "none, by text", None,
     (RAW, "governor by text, 10k keys"), None, 40, 60),
    ("retry", (SEQ, "bartizan retry"), NONE, None, (SEQ, "tower Retry"), (SEQ, "tower-resilience retry"), 5, None),
    ("retry, budget full", (SEQ, "bartizan retry, budget full"), NONE, None,
     (SEQ, "tower Retry with TpsBudget"), (SEQ, "tower-resilience retry with budget"), 10, 40),
    ("retry, budget filling", (SEQ, "bartizan retry, budget filling"), NONE, None,
     (SEQ, "tower Retry with TpsBudget"), (SEQ, "tower-resilience retry with budget"), 10, 40),
    ("balance x3, round robin", (SEQ, "bartizan balance x3, round robin"), NONE, (SEQ, "floor of a balance x3"),
     (SEQ, "tower Balance x3, pending"), None, 50, 90),
    ("balance x3, p2c", (SEQ, "bartizan balance x3, p2c"), NONE, (SEQ, "floor of a balance x3"),
     (SEQ, "tower Balance x3, pending"), None, 50, 90),
    ("balance x3, p2c peak-ewma", (SEQ, "bartizan balance x3, p2c peak-ewma"), NONE, None,
     (SEQ, "tower Balance x3, peak-ewma"), None, None, None),
    ("balance, shared by threads", (SEQ, "bartizan balance x3, p2c"), NONE, (SEQ, "floor of a balance x3"),
     (SEQ, "tower Buffer of Balance x3, pending"), None, 50, 90),
    ("stack of three: retry, limit, breaker", (SEQ, "bartizan stack of three"), NONE, None,
     None, (SEQ, "tower-resilience stack of three"), None, None),
    ("bearer token", (HTTP, "bartizan auth, bearer"), NONE, (HTTP, INSERTION),
     (HTTP, "tower-http AddAuthorization"), None, 70, None),
    ("bearer token, over the insertion", (HTTP, "bartizan auth, bearer"), INSERTION, None,
     (HTTP, "tower-http AddAuthorization"), None, 25, None),
    ("OAuth2 token at hand, over the insertion", (HTTP, "bartizan auth, OAuth2 cached"), INSERTION, None,
     None, None, 25, None),
    ("stack of five, over the insertion", (HTTP, "bartizan stack of five"), INSERTION,
     (HTTP, "floor of a stack of five"), None, None, 150, None),
]


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def measured():
    """(group, row) to nanoseconds."""
    found = {}
    for path in glob.glob(os.path.join(CRITERION, "**", "new", "sample.json"), recursive=True):
        with open(path) as sample, open(os.path.join(os.path.dirname(path), "benchmark.json")) as name:
            sample, name = json.load(sample), json.load(name)
        times = [time / n for time, n in zip(sample["times"], sample["iters"])]
        found[name["group_id"], name["function_id"]] = percentile(times, 0.1)
    return found


def allocations():
    """(group, row) to allocations per call."""
    command = ["cargo", "test", "--quiet", "--package", "bartizan-benches", "--test", "allocations", "--", "--nocapture"]
    output = subprocess.run(command, cwd=HERE, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = {}
    for line in output.splitlines():
        if "\t" in line:
            _, group, row, count = line.split("\t")
            found[group, row] = float(count)
    return found


FOUND = measured()
COUNTS = allocations()


def over(row, base, threads):
    """Nanoseconds of a row over its base; None where it was not measured."""
    if row is None:
        return None
    group, name = row
    base = None if group == RAW else base
    if threads == 2:
        group = PARALLEL[group]
    if (group, name) not in FOUND or (base and (group, base) not in FOUND):
        return None
    return FOUND[group, name] - (FOUND[group, base] if base else 0)


def both(row, base):
    texts = ["–" if ns is None else f"{ns:.0f}" for ns in (over(row, base, 1), over(row, base, 2))]
    return "–" if texts == ["–", "–"] else " / ".join(texts)


def ratio(of, to, base):
    of, to = over(of, base, 1), over(to, base, 1)
    return "–" if of is None or to is None else f"{of / max(to, 0.5):.1f} ×"


def verdict(ours, base, budgets):
    texts = []
    for threads, budget in zip((1, 2), budgets):
        ns = over(ours, base, threads)
        texts.append("–" if budget is None else f"{budget} {'✓' if ns is not None and round(ns) <= budget else '✗'}")
    return "–" if texts == ["–", "–"] else " / ".join(texts)


def count(row, base):
    if row not in COUNTS:
        return "–"
    return f"{COUNTS[row] - (COUNTS[HTTP, INSERTION] if row[0] == HTTP and base else 0):.0f}"


def table():
    print("| ns per call, one / two threads | ours | floor | best other | tower-resilience 0.13 | rival ÷ ours | ours ÷ floor "
          "| budget | allocations: ours / rival |")
    print("|---|---|---|---|---|---|---|---|---|")
    for label, ours, base, floor, other, rival, *budgets in ROWS:
        against = rival or other
        cells = [label, both(ours, base), both(floor, base), both(other, base), both(rival, base),
                 ratio(against, ours, base), ratio(ours, floor, base), verdict(ours, base, budgets),
                 f"{count(ours, base)} / {count(against, base) if against else '–'}"]
        print("| " + " | ".join(cells) + " |")
    clock, swap = (over((RAW, row), None, 1) for row in ("one reading of the clock", "one atomic addition"))
    if clock and swap:
        print(f"\nHere the clock is read in {clock:.0f} ns and an atomic addition takes {swap:.0f}.")


def everything():
    for group in sorted({group for group, _ in FOUND}):
        print(f"\n| {group} | ns | over none | allocations |\n|---|---|---|---|")
        rows = sorted((ns, row) for (of, row), ns in FOUND.items() if of == group)
        none = FOUND.get((group, NONE))
        for ns, row in rows:
            more = "" if none is None or row == NONE else f"{ns - none:.1f}"
            counted = COUNTS.get((group, row))
            print(f"| {row} | {ns:.1f} | {more} | {'' if counted is None else f'{counted:g}'} |")


everything() if "--all" in sys.argv else table()
