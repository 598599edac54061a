#!/usr/bin/env python3
"""Markdown tables from one or more results files: ./report.py results.jsonl [...]
Of each scenario only the runs made while the machine was near its best count ("clean"); where there is none, all count and the
number of clean runs reads 0: such a line is noisy."""
import sys, json, statistics as st, collections
rows = [json.loads(l) for f in sys.argv[1:] for l in open(f)]
R = collections.defaultdict(list); order = []
for d in rows:
    if d["peer"] not in order: order.append(d["peer"])
    R[d["peer"], d["scenario"]].append(d)
REF = min((d["index"] for d in rows if "index" in d), default=1)
med = lambda x: st.median(x) if x else float("nan")
def runs(p, s):
    """Runs while the machine was near its best (within 25 %); all of them when there is none."""
    a = [d for d in R[p, s] if d.get("n", 1)]
    c = [d for d in a if d.get("index", 0) <= 1.25 * REF]
    return c or a
def g(p, s, k): return [d[k] for d in runs(p, s) if k in d]
def clean(p, s): return sum(1 for d in R[p, s] if d.get("n", 1) and d.get("index", 0) <= 1.25 * REF)
def instr(p, s): return [d["instr_user_per_req"] + d["instr_kernel_per_req"] for d in R[p, s] if "instr_user_per_req" in d and d.get("n")]
def f(x, n=0): return "-" if x != x else f"{x:,.{n}f}"
print(f"reference index {REF:.2f} us (generator + upstream CPU of one direct call on the machine at its fastest)\n")
def table(s, title, perf=None):
    ps = [p for p in order if (p, s) in R]
    if not ps: return
    d0 = med(g("direct", s, "rps")); dp = med(g("direct", s, "p50_us"))
    print(f"### {title}\n\n| peer | req/s median (best) | of direct | p50 us | p90 | p99 | p99.9 | CPU us/req median (min..max) | x direct-call CPU | k instr/req | errors | clean/runs |\n|---|---|---|---|---|---|---|---|---|---|---|---|")
    for p in ps:
        r = g(p, s, "rps"); c = g(p, s, "cpu_us_per_req"); e = collections.Counter()
        for d in R[p, s]:
            for k, v in (d.get("errors") or {}).items(): e[k] += v
            if "fail" in d: e[str(d["fail"])[:40]] += 1
        if not r:
            print(f"| {p} | - | | | | | | | | | {dict(e)} | {len(R[p, s])} |"); continue
        ki = med(instr(p, perf)) / 1000 if perf else float("nan")
        print(f"| {p} | {f(med(r))} ({f(max(r))}) | {f(med(r) / d0, 3) if d0 == d0 else '-'} | {f(med(g(p, s, 'p50_us')))} | {f(med(g(p, s, 'p90_us')))} | {f(med(g(p, s, 'p99_us')))} | {f(med(g(p, s, 'p999_us')))} | {f(med(c), 1)} ({f(min(c), 1)}..{f(max(c), 1)}) | {f(med(c) / REF, 1)} | {f(ki, 1)} | {dict(e) or ''} | {clean(p, s)}/{len(R[p, s])} |")
    print()
def summary():
    print("### Summary\n\n| peer | call16 req/s | of direct | call16 CPU us | k instr/call | call1 p50 added us | list500 CPU us | call1m CPU us | rest64 CPU us | k instr/REST | idle PSS MiB | KiB/session | start ms |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    d0 = med(g("direct", "call16", "rps")); p0 = med(g("direct", "call1", "p50_us"))
    for p in order:
        m = lambda s, k: med(g(p, s, k))
        se = [d for d in R[p, "sessions"] if d.get("opened")]
        c = "call16" if g(p, "call16", "rps") else "agg16"
        t = "" if c == "call16" else " (aggregate)"
        noisy = "" if clean(p, c) or not g(p, c, "rps") else " ~"
        print(f"| {p}{t}{noisy} | {f(m(c, 'rps'))} | {f(m(c, 'rps') / d0, 3)} | {f(m(c, 'cpu_us_per_req'), 1)} | {f(med(instr(p, 'perf16')) / 1000)} | {f(m('call1', 'p50_us') - p0)} | {f(m('list500', 'cpu_us_per_req'))} | {f(m('call1m', 'cpu_us_per_req'))} | {f(m('rest64', 'cpu_us_per_req'), 1)} | {f(med(instr(p, 'perfrest')) / 1000)} | {f(m('start', 'pss_kb') / 1024, 1)} | {f(med([d['kb_per_session'] for d in se]), 0)} | {f(m('start', 'start_ms'))} |")
    print("\n(~ = no clean run; direct's own line is the upstream's cost)\n")
summary()
table("request64", "POST /mcp/request, small JSON, 64 connections (the floors carry the same body to the same backend)", "perfrequest")
table("rest64", "REST GET 100 B, 64 connections", "perfrest"); table("rest1m", "REST GET 1 MiB, 4 connections")
table("call1", "tools/call echo 1 KiB, 1 connection"); table("call16", "tools/call echo 1 KiB, 16 connections", "perf16"); table("call64", "tools/call echo 1 KiB, 64 connections")
table("call1sse", "as call1, upstream answers as SSE"); table("call16sse", "as call16, upstream answers as SSE"); table("call64sse", "as call64, upstream answers as SSE")
table("modern1", "as call1, MCP 2026-07-28 (no session)"); table("modern16", "as call16, MCP 2026-07-28 (no session)"); table("modern64", "as call64, MCP 2026-07-28 (no session)")
table("agg16", "tools/call through a 10-upstream aggregate, 16 connections")
table("list500", "tools/list, 10 upstreams x 50 tools, 4 connections"); table("call1m", "tools/call echo 1 MiB, 4 connections")
print("### Memory, start, sessions\n\n| peer | start ms median | idle PSS MiB | idle RSS MiB | procs | peak RSS under call64 MiB | sessions opened | KiB per session | CPU us per session | session errors |\n|---|---|---|---|---|---|---|---|---|---|")
for p in order:
    m = lambda s, k: med(g(p, s, k))
    se = [d for d in R[p, "sessions"] if "opened" in d]
    er = collections.Counter()
    for d in se:
        for k, v in d["errors"].items(): er[k] += v
    hw = med(g(p, "call64", "hwm_kb") or g(p, "call16", "hwm_kb") or g(p, "agg16", "hwm_kb"))
    print(f"| {p} | {f(m('start', 'start_ms'))} | {f(m('start', 'pss_kb') / 1024, 1)} | {f(m('start', 'rss_kb') / 1024, 1)} | {f(m('start', 'procs'))} | {f(hw / 1024, 1)} | {'/'.join(map(str, (min(d['opened'] for d in se), se[0]['count']))) if se else '-'} | {f(med([d['kb_per_session'] for d in se if d['opened']]), 1)} | {f(med([d['cpu_us_per_session'] for d in se if d['opened']]), 0)} | {dict(er) or ''} |")
