// The official conformance suite, in server mode and in client mode.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packaged } from './parties.mjs';
import { run } from './processes.mjs';

const suite = packaged('@modelcontextprotocol/conformance/dist/index.js');

export const REVISIONS = ['2025-11-25', '2026-07-28'];

/** Runs every scenario of a revision's requirement set against the server at `url`. */
export const server = (url, revision) => scenarios(['server', '--url', url, '--requirements', revision], 'server-');

/** Runs every scenario of a revision's requirement set with the client that `command` starts. */
export const client = (command, revision, env) =>
    scenarios(['client', '--command', command, '--requirements', revision, '--timeout', '30000'], '', env);

async function scenarios(args, prefix, env) {
    const output = mkdtempSync(join(tmpdir(), 'mcp-suite-'));
    try {
        const ended = await run(process.execPath, [suite, ...args, '--output-dir', output], { env, patience: 600_000 });
        const result = read(output, prefix);
        if (result.scenarios.size === 0) throw new Error(`the suite ran nothing\n${ended.stdout}${ended.stderr}`);
        return { ...result, unscored: unscored(ended.stdout), log: ended.stdout + ended.stderr };
    } finally {
        rmSync(output, { recursive: true, force: true });
    }
}

/** What the suite says does not count for the revision, so far as it says so. */
function unscored(log) {
    return log.match(/^Not scored.*$/m)?.[0] ?? '';
}

function read(output, prefix) {
    const scenarios = new Map();
    for (const file of readdirSync(output, { recursive: true }).sort()) {
        if (!file.endsWith('checks.json')) continue;
        const name = file.replace(/\/?checks\.json$/, '').replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '').slice(prefix.length);
        const checks = JSON.parse(readFileSync(join(output, file), 'utf8'));
        const counts = { passed: new Map(), failed: new Map(), warned: new Map() };
        const kinds = { SUCCESS: counts.passed, FAILURE: counts.failed, WARNING: counts.warned };
        for (const { id, status, errorMessage } of checks) {
            const kind = kinds[status];
            if (!kind) continue;
            kind.set(id, { count: (kind.get(id)?.count ?? 0) + 1, error: errorMessage });
        }
        scenarios.set(name, counts);
    }
    const sum = (kind) => {
        let total = 0;
        for (const counts of scenarios.values()) for (const { count } of counts[kind].values()) total += count;
        return total;
    };
    return { scenarios, passed: sum('passed'), failed: sum('failed'), warned: sum('warned') };
}

/** Every failed check as `{ name, check, error }`. */
export function failures(result) {
    const list = [];
    for (const [name, { failed }] of result.scenarios) {
        for (const [check, { error }] of failed) list.push({ name, check, error });
    }
    return list;
}

/** What `ours` does not pass that `reference` passes, as `{ name, check, error }`. */
export function losses(reference, ours) {
    const lost = failures(ours);
    for (const [name, { passed }] of reference.scenarios) {
        const mine = ours.scenarios.get(name);
        if (!mine) {
            lost.push({ name, error: 'the scenario did not run' });
            continue;
        }
        for (const [check, { count }] of passed) {
            if (mine.failed.has(check)) continue;
            const have = mine.passed.get(check)?.count ?? 0;
            if (have < count) lost.push({ name, check, error: `passed ${have} times, ${count} without the gateway` });
        }
    }
    return lost;
}
