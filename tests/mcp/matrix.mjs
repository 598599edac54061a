// Real servers and real clients, in every pair that their revisions allow.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gateway, environment } from './gateway.mjs';
import { here, packaged, python, root } from './parties.mjs';
import { freePort, run, start, stop } from './processes.mjs';

const SPEAKS_BOTH = ['legacy', 'modern', 'auto'];

const node = (name) => [join(here, 'clients', `${name}.mjs`)];
const CLIENTS = {
    inspector: { command: process.execPath, args: node('inspector'), modes: SPEAKS_BOTH },
    'python-sdk': { command: python, args: [join(here, 'clients/python_sdk.py')], modes: SPEAKS_BOTH },
    fastmcp: { command: python, args: [join(here, 'clients/python_fastmcp.py')], modes: SPEAKS_BOTH },
    'typescript-v2': { command: process.execPath, args: node('typescript-v2'), modes: SPEAKS_BOTH },
    'typescript-v1': { command: process.execPath, args: node('typescript-v1'), modes: ['legacy'] },
};

const everything = [
    { do: 'tools', include: ['echo', 'get-sum', 'trigger-long-running-operation'] },
    { do: 'call', name: 'echo', arguments: { message: 'hi' }, expect: 'Echo: hi' },
    { do: 'call', name: 'get-sum', arguments: { a: 2, b: 3 }, expect: 'The sum of 2 and 3 is 5.' },
    { do: 'call', name: 'trigger-long-running-operation', arguments: { duration: 0.4, steps: 4 }, expect: 'completed', progress: 3 },
    { do: 'resource', uri: 'demo://resource/static/document/architecture.md', expect: 'Everything' },
    { do: 'prompt', name: 'simple-prompt', expect: 'This is a simple prompt without arguments.' },
    { do: 'prompt', name: 'args-prompt', arguments: { city: 'Oslo' }, expect: 'Oslo' },
];

// These it registers only for clients that can be asked, some milliseconds after they said so.
const everythingAsks = [
    { do: 'call', name: 'trigger-sampling-request', arguments: { prompt: 'hello', maxTokens: 10 }, expect: 'sampled', asks: 'sampling/createMessage' },
    { do: 'call', name: 'trigger-elicitation-request', arguments: {}, expect: 'Ada', asks: 'elicitation/create' },
];

const fixture = [
    { do: 'tools', include: ['test_simple_text', 'test_sampling'] },
    { do: 'call', name: 'test_simple_text', arguments: {}, expect: 'This is a simple text response for testing.' },
    { do: 'call', name: 'test_tool_with_progress', arguments: {}, expect: 'Progress reported', progress: 2 },
    { do: 'call', name: 'test_sampling', arguments: { prompt: 'hello' }, expect: 'LLM response: sampled', asks: 'sampling/createMessage' },
    { do: 'call', name: 'test_elicitation', arguments: { message: 'who?' }, expect: 'action=accept', asks: 'elicitation/create' },
    { do: 'call', name: 'test_input_required_result_list_roots', arguments: {}, expect: 'file:///tmp', asks: 'roots/list' },
    { do: 'call', name: 'test_input_required_result_multi_round', arguments: {}, expect: 'Ada likes Ada', asks: 'elicitation/create' },
    { do: 'resource', uri: 'test://template/7/data', expect: 'Data for ID: 7' },
    { do: 'prompt', name: 'test_prompt_with_arguments', arguments: { arg1: 'one', arg2: 'two' }, expect: "arg1='one', arg2='two'" },
];

/** The servers: how each is started, the newest era it speaks, and what is asked of it. */
function servers(scratch) {
    const files = join(scratch, 'files');
    const repository = join(scratch, 'repository');
    mkdirSync(files);
    writeFileSync(join(files, 'a.txt'), 'hello from a file\n');
    const git = (...args) => execFileSync('git', ['-C', repository, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], { stdio: 'ignore' });
    mkdirSync(repository);
    git('init', '-q');
    writeFileSync(join(repository, 'b.txt'), 'b\n');
    git('add', '.');
    git('commit', '-qm', 'a first commit');

    const index = (name) => packaged(`@modelcontextprotocol/server-${name}/dist/index.js`);
    const http = (transport, path) => async () => {
        const port = await freePort();
        const args = ['--require', join(here, 'loopback.cjs'), index('everything'), transport];
        const started = await start(process.execPath, args, { env: { PORT: String(port) }, pattern: /listening on port|running on port/i });
        return { transport: path === 'sse' ? 'sse' : 'http', url: `http://127.0.0.1:${port}/${path}`, started };
    };
    const stdio = (command, args, env) => async () => ({ transport: 'stdio', command, args, env });
    const inVenv = (name) => join(root, 'python/bin', name);
    return {
        'everything-http': { eras: ['legacy'], open: http('streamableHttp', 'mcp'), steps: [...everything, ...everythingAsks] },
        'everything-sse': { eras: ['legacy'], open: http('sse', 'sse'), steps: [...everything, ...everythingAsks] },
        'everything-stdio': { eras: ['legacy'], open: stdio(process.execPath, [index('everything'), 'stdio']), steps: [...everything, ...everythingAsks] },
        filesystem: {
            eras: ['legacy'],
            open: stdio(process.execPath, [index('filesystem'), files]),
            steps: [
                { do: 'tools', include: ['read_text_file', 'list_directory'] },
                { do: 'call', name: 'read_text_file', arguments: { path: join(files, 'a.txt') }, expect: 'hello from a file' },
            ],
        },
        memory: {
            eras: ['legacy'],
            open: stdio(process.execPath, [index('memory')], { MEMORY_FILE_PATH: join(scratch, 'memory.jsonl') }),
            steps: [
                { do: 'tools', include: ['create_entities', 'read_graph'] },
                { do: 'call', name: 'create_entities', arguments: { entities: [{ name: 'Ada', entityType: 'person', observations: ['counts'] }] }, expect: '' },
                { do: 'call', name: 'read_graph', arguments: {}, expect: 'Ada' },
                { do: 'resource', uri: 'memory://knowledge-graph', expect: 'Ada' },
            ],
        },
        'sequential-thinking': {
            eras: ['legacy'],
            open: stdio(process.execPath, [index('sequential-thinking')]),
            steps: [
                { do: 'tools', include: ['sequentialthinking'] },
                { do: 'call', name: 'sequentialthinking', arguments: { thought: 'one', nextThoughtNeeded: false, thoughtNumber: 1, totalThoughts: 1 }, expect: '"totalThoughts": 1' },
            ],
        },
        git: {
            eras: ['legacy', 'modern'],
            open: stdio(inVenv('mcp-server-git'), ['--repository', repository]),
            steps: [
                { do: 'tools', include: ['git_status', 'git_log'] },
                { do: 'call', name: 'git_log', arguments: { repo_path: repository }, expect: 'a first commit' },
            ],
        },
        time: {
            eras: ['legacy', 'modern'],
            open: stdio(inVenv('mcp-server-time'), ['--local-timezone', 'UTC']),
            steps: [
                { do: 'tools', include: ['get_current_time', 'convert_time'] },
                { do: 'call', name: 'convert_time', arguments: { source_timezone: 'UTC', time: '12:00', target_timezone: 'Asia/Tokyo' }, expect: 'T21:00:00+09:00' },
            ],
        },
        'fastmcp-http': {
            eras: ['legacy', 'modern'],
            open: async () => {
                const port = await freePort();
                const started = await start(python, [join(here, 'servers/fastmcp_server.py'), String(port)], { pattern: /Uvicorn running on/ });
                return { transport: 'http', url: `http://127.0.0.1:${port}/mcp`, started };
            },
            steps: [
                { do: 'tools', include: ['add', 'count'] },
                { do: 'call', name: 'add', arguments: { a: 2, b: 40 }, expect: '42' },
                { do: 'call', name: 'count', arguments: { to: 3 }, expect: 'counted to 3', progress: 3 },
                { do: 'resource', uri: 'memo://greeting', expect: 'A greeting from FastMCP' },
                { do: 'prompt', name: 'review', arguments: { subject: 'this' }, expect: 'Please review this' },
            ],
        },
        'rmcp-http': {
            eras: ['legacy', 'modern'],
            open: async () => {
                const started = await start(process.env.MCP_FIXTURE, [], { pattern: /listening on (\S+)/ });
                return { transport: 'http', url: started.match[1], started };
            },
            steps: fixture,
        },
        'rmcp-stdio': { eras: ['legacy', 'modern'], open: stdio(process.env.MCP_FIXTURE, ['--stdio']), steps: fixture },
    };
}

/** How the gateway reaches a server that was opened. */
const service = ({ transport, url, command, args, env }) =>
    transport === 'stdio' ? { transport, command, args, env } : { transport: transport === 'sse' ? 'sse' : 'streamable-http', endpoint: url };

/**
 * The doors of the gateway. `/mcp/{service}` is tried with everything; the others with the servers
 * named, because what differs between them is the door and not what is behind it.
 */
const FRONTS = {
    http: { eras: ['legacy', 'modern'] },
    aggregate: { eras: ['legacy', 'modern'], servers: ['everything-http', 'time', 'fastmcp-http', 'rmcp-http'] },
    sse: { eras: ['legacy'], servers: ['everything-http', 'everything-stdio', 'time', 'rmcp-http'] },
    stdio: { eras: ['legacy', 'modern'], servers: ['everything-http', 'time', 'rmcp-http'] },
};

const NAME = 'fx';
const PREFIX = `${NAME}__`;

/** Where a client finds a server behind the gateway's door `front`. */
function behind(front, between, opened) {
    if (front === 'stdio') {
        return { transport: 'stdio', command: process.env.BARTIZAN, args: ['stdio'], env: environment({ [NAME]: service(opened) }) };
    }
    if (front === 'aggregate') return { transport: 'http', url: between.url(), prefix: PREFIX };
    if (front === 'sse') return { transport: 'sse', url: `${between.url(NAME)}/sse` };
    return { transport: 'http', url: between.url(NAME) };
}

/** Every pair, as `{ name, error }`: `server ← client (mode)`, with the gateway's door where there is one. */
export async function pairs({ mode, only, scratch }) {
    const results = [];
    for (const [server, { eras, open, steps }] of Object.entries(servers(scratch))) {
        const tasks = [];
        const fronts = mode === 'direct' ? { direct: { eras } } : FRONTS;
        for (const [front, { eras: spoken, servers }] of Object.entries(fronts)) {
            if (servers && !servers.includes(server)) continue;
            for (const [client, { modes, ...program }] of Object.entries(CLIENTS)) {
                for (const era of modes) {
                    if (era !== 'auto' && !spoken.includes(era)) continue;
                    // What the client must end up speaking, given what it meets.
                    const modern = era === 'modern' || (era === 'auto' && spoken.includes('modern'));
                    const name = `${server} ← ${front === 'direct' ? '' : `${front} ← `}${client} (${era})`;
                    if (name.includes(only)) tasks.push({ name, front, client, era, modern, ...program });
                }
            }
        }
        if (tasks.length === 0) continue;
        const opened = await open();
        const between = mode === 'direct' ? undefined : await gateway({ [NAME]: service(opened) });
        const play = async ({ name, front, era, modern, command, args }) => {
            const { started, prefix, ...target } = front === 'direct' ? opened : behind(front, between, opened);
            const task = JSON.stringify({ target, mode: era, steps: front === 'aggregate' ? toolsOnly(steps) : steps, prefix });
            const ended = await run(command, [...args, task], { patience: 120_000 });
            results.push({ name, error: verdict(ended, modern) });
            console.log(`${results.at(-1).error ? 'no' : 'ok'}  ${name}`);
        };
        await two(tasks, play);
        if (between) await stop(between);
        if (opened.started) await stop(opened.started);
    }
    return results;
}

/** Behind a door of many services, addresses of resources and prompts are the gateway's to choose. */
const toolsOnly = (steps) => steps.filter((step) => step.do === 'tools' || step.do === 'call');

function verdict({ code, stdout, stderr }, modern) {
    if (code !== 0) return (stderr.trim() || stdout.trim() || `ended with ${code}`).slice(-700);
    const { version } = JSON.parse(stdout.trim().split('\n').at(-1));
    if (!version) return 'the client did not say what it spoke';
    return (version >= '2026-07-28') === modern ? undefined : `spoke ${version}`;
}

/** Two at a time: the machines that run this have two processors. */
async function two(tasks, play) {
    const left = [...tasks];
    const worker = async () => {
        for (let task = left.shift(); task; task = left.shift()) await play(task);
    };
    await Promise.all([worker(), worker()]);
}
