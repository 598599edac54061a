// The gateway under test.
import { start } from './processes.mjs';

/**
 * How a service is reached: `{ transport, endpoint }`, or `{ transport: 'stdio', command, args, env, cwd }`;
 * and in `variables` whatever else its configuration says, by the last part of each variable's name.
 */
function variables(name, service) {
    const prefix = `MCP_SERVICE_${name.toUpperCase()}_`;
    const env = {
        [`${prefix}TRANSPORT`]: service.transport,
        // The tests are about the protocol; limits have their own.
        [`${prefix}RATE_LIMIT_RPM`]: '1000000',
        [`${prefix}RATE_LIMIT_BURST`]: '100000',
    };
    if (service.endpoint) env[`${prefix}ENDPOINT`] = service.endpoint;
    if (service.command) env[`${prefix}COMMAND`] = service.command;
    if (service.args) env[`${prefix}ARGS`] = JSON.stringify(service.args);
    if (service.cwd) env[`${prefix}WORKING_DIR`] = service.cwd;
    for (const [key, value] of Object.entries(service.variables ?? {})) if (value !== undefined) env[`${prefix}${key}`] = value;
    for (const [key, value] of Object.entries(service.env ?? {})) env[`${prefix}ENV_${key}`] = value;
    return env;
}

/** The gateway's environment for `services`, a map from names to how they are reached. */
export function environment(services) {
    const names = Object.keys(services);
    const env = { MCP_SERVICES: names.join(','), MCP_GATEWAY_HOST: '127.0.0.1', MCP_GATEWAY_PORT: '0' };
    return Object.assign(env, ...names.map((name) => variables(name, services[name])));
}

/** Starts a gateway. `url` gives the address of a service, or of all of them. */
export async function gateway(services) {
    const binary = process.env.BARTIZAN;
    if (!binary) throw new Error('BARTIZAN does not name a gateway');
    const started = await start(binary, ['serve'], {
        pattern: /listening"?.*?(127\.0\.0\.1:\d+)/,
        env: environment(services),
    });
    const base = `http://${started.match[1]}/mcp`;
    return { ...started, url: (service) => (service ? `${base}/${service}` : base) };
}
