#!/usr/bin/env python3
"""The table of the README, from what `cargo bench -p bartizan-benches --bench layers` measured last.

  ./benches/table.py [target/criterion]

Each figure is the tenth percentile of criterion's samples, in nanoseconds over the service without a layer, measured in the
same run: work of others disturbs some samples and never makes one faster. A floor is what the layer's clock reading and atomic
operations cost here when they are written by hand and nothing else is done; the last column is ours over it. Nanoseconds
move with the machine, above all with what its clock costs, and the ratios within a run do not."""
import glob, json, os, sys

FOLDER = sys.argv[1] if len(sys.argv) > 1 else "target/criterion"

# name, group, our row, the floor, the best published other, tower-resilience 0.13
ROWS = [
    ("circuit breaker", "", "bartizan breaker", "floor of a breaker", None, "tower-resilience breaker, count window"),
    ("rate limit", "", "bartizan rate limit", "floor of a rate limit", "tower RateLimit", "tower-resilience rate limit, token bucket"),
    ("rate limit by key, 10k keys", "", "bartizan rate limit by number, 10k keys", None, None, None),
    ("retry", "", "bartizan retry", None, "tower Retry", "tower-resilience retry"),
    ("retry with budget", "", "bartizan retry, budget full", None, "tower Retry with TpsBudget", "tower-resilience retry with budget"),
    ("balance over 3, round robin", "", "bartizan balance x3, round robin", "floor of a balance x3", "tower Balance x3, pending", None),
    ("balance over 3, p2c", "", "bartizan balance x3, p2c", "floor of a balance x3", "tower Balance x3, pending", None),
    ("retry with budget, rate limit, breaker", "", "bartizan stack of three", None, None, "tower-resilience stack of three"),
    ("bearer token", "http", "bartizan auth, bearer", "header insertion", "tower-http AddAuthorization", None),
    ("stack of five", "http", "bartizan stack of five", "floor of a stack of five", None, None),
]

def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]

def load():
    found = {}
    for path in glob.glob(os.path.join(FOLDER, "*", "*", "new", "sample.json")):
        sample = json.load(open(path))
        name = json.load(open(os.path.join(os.path.dirname(path), "benchmark.json")))
        times = [t / n for t, n in zip(sample["times"], sample["iters"])]
        found[name["group_id"], name["function_id"]] = percentile(times, 0.1)
    return found

FOUND = load()

def over(group, row, threads):
    """What a row costs over no layer; None if it was not measured."""
    group = {("", 1): "seq", ("", 2): "par2", ("http", 1): "http", ("http", 2): "http-par2"}[group, threads]
    return FOUND[group, row] - FOUND[group, "none"] if (group, row) in FOUND else None

def text(value): return "–" if value is None else f"{value:.0f}"
def ratio(of, to): return "–" if of is None or to is None else f"{of / max(to, 0.5):.1f} ×"

print("| ns over no layer | ours | floor | best other | tower-resilience 0.13 | two threads: ours | tower-resilience | rival to ours | ours to floor |")
print("|---|---|---|---|---|---|---|---|---|")
for name, group, ours, floor, other, rival in ROWS:
    one = {row: over(group, row, 1) for row in (ours, floor, other, rival)}
    two = {row: over(group, row, 2) for row in (ours, rival)}
    cells = [text(one[row]) for row in (ours, floor, other, rival)] + [text(two[ours]), text(two[rival])]
    print(f"| {name} | {' | '.join(cells)} | {ratio(one[rival], one[ours])} | {ratio(one[ours], one[floor])} |")
clock = FOUND.get(("raw", "one reading of the clock"))
if clock: print(f"\nOne reading of the clock takes {clock:.0f} ns of each.")
