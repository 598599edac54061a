// @modelcontextprotocol/client: the TypeScript SDK that speaks 2026-07-28.
import { load } from '../parties.mjs';
import { CAPABILITIES, drive } from './steps.mjs';

const { Client, SSEClientTransport, StreamableHTTPClientTransport } = await load('@modelcontextprotocol/client');
const { StdioClientTransport } = await load('@modelcontextprotocol/client/stdio');

await drive(async ({ target, mode }, { on }) => {
    const client = new Client(
        { name: 'typescript-v2', version: '1' },
        { capabilities: CAPABILITIES, versionNegotiation: { mode: mode === 'modern' ? { pin: '2026-07-28' } : mode } },
    );
    for (const method of ['sampling/createMessage', 'elicitation/create', 'roots/list']) {
        client.setRequestHandler(method, ({ params }) => on(method, params));
    }
    const transport = {
        http: () => new StreamableHTTPClientTransport(new URL(target.url)),
        sse: () => new SSEClientTransport(new URL(target.url)),
        stdio: () => new StdioClientTransport({ ...target, env: { ...process.env, ...target.env }, stderr: 'inherit' }),
    }[target.transport]();
    await client.connect(transport);
    return { client, version: client.getNegotiatedProtocolVersion(), close: () => client.close() };
});
