// See run.sh.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { judge } from './expectations.mjs';
import { gateway } from './gateway.mjs';
import { here } from './parties.mjs';
import { start, stop } from './processes.mjs';
import * as suite from './suite.mjs';

const PARTS = ['server', 'client', 'matrix'];

const [mode, ...rest] = process.argv.slice(2);
const only = rest.includes('--only') ? rest.splice(rest.indexOf('--only'), 2)[1] : '';
const verbose = rest.includes('--verbose') && rest.splice(rest.indexOf('--verbose'), 1).length > 0;

const rows = [];
let failures = 0;
let sound = true;

/** Prints a row and remembers whether the run may pass. */
function report(run, result, failed) {
    const { unexplained, explained, stale } = judge(run, failed);
    const bad = unexplained.length + stale.length > 0;
    sound &&= !bad;
    failures += unexplained.length;
    rows.push([run, result.scenarios.size, result.passed, result.failed, result.warned, explained, bad ? 'NO' : 'ok']);
    console.log(`${bad ? 'NO' : 'ok'}  ${run}: ${result.passed} passed, ${result.failed} failed`);
    for (const { name, check, error } of unexplained) console.log(`      ${name}${check ? `:${check}` : ''}: ${error ?? 'failed'}`);
    for (const key of stale) console.log(`      ${key}: expected to fail and does not`);
    if (verbose && result.unscored) console.log(`      ${result.unscored}`);
}

async function fixture(...flags) {
    const started = await start(process.env.MCP_FIXTURE, flags, { pattern: /listening on (\S+)/ });
    return { ...started, url: started.match[1] };
}

/** The suite against our fixture, itself or through the gateway in each way the gateway has to reach it. */
async function server() {
    const reference = {};
    const both = await fixture();
    for (const revision of suite.REVISIONS) {
        reference[revision] = await suite.server(both.url, revision);
        report(`direct http-both ${revision}`, reference[revision], suite.failures(reference[revision]));
    }
    if (mode === 'direct') {
        const legacy = await fixture('--legacy-only');
        const modern = await fixture('--modern-only');
        for (const [name, { url }, revision] of [['legacy', legacy, '2025-11-25'], ['modern', modern, '2026-07-28']]) {
            const result = await suite.server(url, revision);
            report(`direct http-${name} ${revision}`, result, suite.losses(reference[revision], result));
        }
        await Promise.all([both, legacy, modern].map(stop));
        return;
    }
    await stop(both);
    for (const transport of ['http', 'stdio']) {
        for (const eras of ['both', 'legacy', 'modern']) {
            for (const revision of suite.REVISIONS) {
                const run = `gateway ${transport}-${eras} ${revision}`;
                if (!run.includes(only)) continue;
                const flags = eras === 'both' ? [] : [`--${eras}-only`];
                const upstream = transport === 'http' ? await fixture(...flags) : undefined;
                const fx = upstream
                    ? { transport: 'streamable-http', endpoint: upstream.url }
                    : { transport: 'stdio', command: process.env.MCP_FIXTURE, args: ['--stdio', ...flags] };
                const between = await gateway({ fx });
                const result = await suite.server(between.url('fx'), revision);
                report(run, result, suite.losses(reference[revision], result));
                await stop(between);
                if (upstream) await stop(upstream);
            }
        }
    }
}

/** The suite's mock servers, with a known-good client before them, or with the gateway between the two. */
async function client() {
    const script = mode === 'direct' ? 'conformance-client.mjs' : 'gateway-client.mjs';
    for (const revision of suite.REVISIONS) {
        const run = `${mode} client ${revision}`;
        if (!run.includes(only)) continue;
        const result = await suite.client(`${process.execPath} ${join(here, script)}`, revision);
        report(run, result, suite.failures(result));
    }
}

async function matrix() {
    const { pairs } = await import('./matrix.mjs');
    const scratch = mkdtempSync(join(tmpdir(), 'mcp-matrix-'));
    try {
        const results = await pairs({ mode, only, scratch });
        const failed = results.filter(({ error }) => error);
        const { unexplained, stale } = judge(`${mode} matrix`, failed);
        const partial = only !== '';
        const bad = unexplained.length > 0 || (stale.length > 0 && !partial);
        sound &&= !bad;
        failures += unexplained.length;
        rows.push([`${mode} matrix`, results.length, results.length - failed.length, failed.length, 0, failed.length - unexplained.length, bad ? 'NO' : 'ok']);
        for (const { name, error } of unexplained) console.log(`NO  ${name}: ${error}`);
        if (!partial) for (const key of stale) console.log(`NO  ${key}: expected to fail and does not`);
    } finally {
        rmSync(scratch, { recursive: true, force: true });
    }
}

if (mode === 'url') {
    for (const revision of suite.REVISIONS) {
        const result = await suite.server(rest[0], revision);
        report(`${rest[0]} ${revision}`, result, suite.failures(result));
    }
} else if (mode === 'direct' || mode === 'gateway') {
    const parts = rest.length > 0 ? rest : PARTS;
    const unknown = parts.filter((part) => !PARTS.includes(part));
    if (unknown.length > 0) {
        console.error(`no such part: ${unknown.join(', ')}`);
        process.exit(2);
    }
    const run = { server, client, matrix };
    for (const part of parts) await run[part]();
} else {
    console.error('run.sh direct|gateway [server] [client] [matrix] [--only TEXT] [--verbose], or run.sh url URL');
    process.exit(2);
}

const heads = ['run', 'scenarios', 'passed', 'failed', 'warnings', 'explained', ''];
const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => String(row[column]).length)));
console.log();
for (const row of [heads, ...rows]) console.log(row.map((cell, column) => (column === 0 ? String(cell).padEnd(widths[column]) : String(cell).padStart(widths[column]))).join('  '));
const passed = rows.reduce((sum, row) => sum + row[2], 0);
console.log(`\n${passed} passed, ${failures} failed without an explanation`);
process.exit(sound ? 0 : 1);
