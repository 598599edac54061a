#!/usr/bin/env python3
"""Makes docs/faults.svg, and the table of docs/faults.md, of what the fault run wrote down.

    cargo test -p bartizan-tests --test fault_run && tests/fault_run/plot.py

Needs nothing but Python.
"""

import csv
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
STRATEGIES = ["round_robin", "least_connections", "health_based", "p2c_ewma"]
# What the run does when, in milliseconds: see main.rs.
EVENTS = [
    (800, "a is killed"),
    (1600, "b is slow"),
    (2400, "c fails"),
    (4000, "all are back"),
]
PROBES = 800
END = 6400
COLOURS = {"a": "#1b6ca8", "b": "#d98310", "c": "#2e8540"}
WIDTH, HEIGHT, LEFT, TOP, GAP = 760, 110, 130, 40, 26


def series(strategy):
    path = ROOT / "target/tmp/faults" / f"{strategy}.csv"
    with path.open() as file:
        return [{k: int(v) for k, v in row.items()} for row in csv.DictReader(file)]


def x(ms):
    return LEFT + (WIDTH - LEFT - 20) * ms / END


def text(left, top, content, colour="#333", size=11, anchor="start"):
    return (
        f'<text x="{left:.1f}" y="{top:.1f}" fill="{colour}" font-size="{size}" '
        f'text-anchor="{anchor}">{content}</text>'
    )


def line(x1, y1, x2, y2, colour="#bbb", more=""):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {more}/>'


def panel(strategy, rows, top):
    most = max(max(row["a"], row["b"], row["c"]) for row in rows)
    bottom = top + HEIGHT

    def y(count):
        return bottom - HEIGHT * count / most

    out = [text(8, top + 14, strategy, "#000", 12), line(LEFT, bottom, x(END), bottom)]
    out += [text(LEFT - 6, y(n) + 4, n, "#777", 10, "end") for n in (0, most)]
    for ms, _ in EVENTS:
        out.append(line(x(ms), top, x(ms), bottom, "#999", 'stroke-dasharray="3 3"'))
    for instance, colour in COLOURS.items():
        points = " ".join(
            f'{x(row["milliseconds"] + 50):.1f},{y(row[instance]):.1f}'
            for row in rows
            if row["milliseconds"] < END
        )
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
    for row in rows:
        failed = row["answered"] + row["lost"] + row["refused"]
        for n in range(failed):
            left, up = x(row["milliseconds"] + 50), top + 6 + 7 * n
            out.append(f'<circle cx="{left:.1f}" cy="{up:.1f}" r="3" fill="#b50909"/>')
    return out


def figure(all_rows):
    height = TOP + len(all_rows) * (HEIGHT + GAP) + 40
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for ms, what in EVENTS:
        out.append(text(x(ms), 28, what, "#333", 11, "middle"))
    top = TOP
    for strategy, rows in all_rows.items():
        out += panel(strategy, rows, top)
        top += HEIGHT + GAP
    for second in range(END // 1000 + 1):
        out.append(text(x(second * 1000), top - GAP + 14, f"{second} s", "#777", 10, "middle"))
    left = LEFT
    for name, colour in COLOURS.items():
        out.append(line(left, top + 16, left + 18, top + 16, colour, 'stroke-width="2"'))
        out.append(text(left + 24, top + 20, f"calls to {name} in 100 ms"))
        left += 150
    out.append(f'<circle cx="{left + 6}" cy="{top + 16}" r="3" fill="#b50909"/>')
    out.append(text(left + 16, top + 20, "a call that was not a success"))
    return "\n".join(out + ["</svg>"]) + "\n"


def table(all_rows):
    out = [
        "| strategy | calls | successes | answered with 500 | lost | refused "
        "| b while slow | a called again | c called again |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for strategy, rows in all_rows.items():
        total = {key: sum(row[key] for row in rows) for key in rows[0]}
        calls = sum(total[key] for key in ("success", "answered", "lost", "refused"))
        slow = [row for row in rows if 1600 <= row["milliseconds"] < 2400]
        share = sum(row["b"] for row in slow) / sum(row[i] for row in slow for i in "abc")
        back = EVENTS[3][0]

        def again(instance):
            since = [row["milliseconds"] for row in rows if row["milliseconds"] >= back and row[instance]]
            return f"within {since[0] + 100 - back} ms" if since else "never"

        out.append(
            f"| `{strategy}` | {calls} | {total['success']} | {total['answered']} | {total['lost']} "
            f"| {total['refused']} | {share:.0%} of the calls | {again('a')} | {again('c')} |"
        )
    return "\n".join(out) + "\n"


def main():
    all_rows = {strategy: series(strategy) for strategy in STRATEGIES}
    (ROOT / "docs/faults.svg").write_text(figure(all_rows))
    page = ROOT / "docs/faults.md"
    before, rest = page.read_text().split("<!-- table -->\n", 1)
    after = rest.split("<!-- end of table -->\n", 1)[1]
    page.write_text(f"{before}<!-- table -->\n{table(all_rows)}<!-- end of table -->\n{after}")
    sys.stdout.write(table(all_rows))


if __name__ == "__main__":
    main()
