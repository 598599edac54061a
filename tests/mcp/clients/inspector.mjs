// The command line of the MCP Inspector: a process a step, and none that can be asked anything.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packaged } from '../parties.mjs';
import { run } from '../processes.mjs';

const inspector = packaged('@modelcontextprotocol/inspector/clients/launcher/build/index.js');
const task = JSON.parse(process.argv[2]);
const { target, mode, steps, prefix = '' } = task;

const folder = mkdtempSync(join(tmpdir(), 'mcp-inspector-'));
const server = {
    http: { type: 'streamable-http', url: target.url },
    sse: { type: 'sse', url: target.url },
    stdio: { type: 'stdio', command: target.command, args: target.args, env: target.env, cwd: target.cwd },
}[target.transport];
const config = join(folder, 'servers.json');
writeFileSync(config, JSON.stringify({ mcpServers: { target: { ...server, protocolEra: mode } } }));

async function ask(method, ...args) {
    const command = [inspector, '--cli', '--config', config, '--server', 'target', '--method', method, '--format', 'json', ...args];
    // A home of its own, because the Inspector keeps files there, and no keyring, which it would ask the desktop for.
    const env = { HOME: folder, MCP_INSPECTOR_SECRET_STORE: 'memory' };
    const { code, stdout, stderr } = await run(process.execPath, command, { env, patience: 40_000 });
    if (code !== 0) throw new Error(`${method} ended with ${code}: ${(stderr || stdout).slice(-600)}`);
    return JSON.parse(stdout);
}

function has(result, expect, what) {
    const text = JSON.stringify(result);
    if (!text.includes(JSON.stringify(expect).slice(1, -1))) throw new Error(`${what}: expected ${expect} in ${text.slice(0, 400)}`);
}

try {
    const opened = await ask('initialize');
    for (const step of steps) {
        if (step.asks || step.progress) continue;
        const name = prefix + step.name;
        if (step.do === 'tools') {
            const { tools } = (({ result, ...rest }) => result ?? rest)(await ask('tools/list'));
            const names = tools.map((tool) => tool.name);
            for (const one of step.include) if (!names.includes(prefix + one)) throw new Error(`tools/list: ${prefix + one} is missing in ${names}`);
        } else if (step.do === 'call') {
            const pairs = Object.entries(step.arguments).flatMap(([key, value]) => ['--tool-arg', `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`]);
            has(await ask('tools/call', '--tool-name', name, ...pairs), step.expect, name);
        } else if (step.do === 'resource') {
            has(await ask('resources/read', '--uri', step.uri), step.expect, step.uri);
        } else if (step.do === 'prompt') {
            const pairs = Object.entries(step.arguments ?? {}).flatMap(([key, value]) => ['--prompt-args', `${key}=${value}`]);
            has(await ask('prompts/get', '--prompt-name', name, ...pairs), step.expect, name);
        }
    }
    const version = JSON.stringify(opened).match(/"protocolVersion":"(\d{4}-\d\d-\d\d)"/)?.[1];
    console.log(JSON.stringify({ version }));
    process.exitCode = 0;
} catch (error) {
    console.error(error.message);
    process.exitCode = 1;
} finally {
    rmSync(folder, { recursive: true, force: true });
}
