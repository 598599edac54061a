// Starting processes, waiting for what they say, and leaving none behind.
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';

const running = new Set();

function stopAll() {
    for (const child of running) child.kill('SIGKILL');
}
process.on('exit', stopAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

/** A process that has said what `pattern` matches; `match` is how it said it. */
export async function start(command, args, { pattern, env = {}, cwd, patience = 20_000 }) {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    const started = { child, log: '', match: undefined };
    await new Promise((resolve, reject) => {
        const name = `${command} ${args.join(' ')}`;
        const timer = setTimeout(() => reject(new Error(`${name} said nothing that matches ${pattern}\n${started.log}`)), patience);
        const hear = (bytes) => {
            // Bounded, because a test may log much; what is waited for comes first.
            if (started.log.length < 1 << 20) started.log += bytes;
            started.match ??= started.log.match(pattern) ?? undefined;
            if (started.match) {
                clearTimeout(timer);
                resolve();
            }
        };
        child.stdout.on('data', hear);
        child.stderr.on('data', hear);
        child.on('error', reject);
        child.on('close', (code) => {
            running.delete(child);
            clearTimeout(timer);
            reject(new Error(`${name} ended with ${code}\n${started.log}`));
        });
    });
    return started;
}

/** Asks a process to end and insists after five seconds. */
export async function stop({ child }) {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    const insist = setTimeout(() => child.kill('SIGKILL'), 5000);
    await ended;
    clearTimeout(insist);
}

/** Runs a process to its end. Never fails: `code` is -1 where it took longer than `patience`. */
export function run(command, args, { env = {}, cwd, patience = 60_000 } = {}) {
    return new Promise((resolve) => {
        const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
        running.add(child);
        let stdout = '';
        let stderr = '';
        let late = false;
        const timer = setTimeout(() => {
            late = true;
            child.kill('SIGKILL');
        }, patience);
        child.stdout.on('data', (bytes) => (stdout += bytes));
        child.stderr.on('data', (bytes) => (stderr += bytes));
        const finish = (code) => {
            running.delete(child);
            clearTimeout(timer);
            resolve({ code: late ? -1 : code, stdout, stderr: late ? `${stderr}\ntook longer than ${patience} ms` : stderr });
        };
        child.on('error', (error) => {
            stderr += error.message;
            finish(-1);
        });
        child.on('close', finish);
    });
}

/** A port that was free a moment ago, for servers that cannot ask for one themselves. */
export async function freePort() {
    const server = createServer();
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address();
    await new Promise((resolve) => server.close(resolve));
    return port;
}
