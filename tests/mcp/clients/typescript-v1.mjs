// @modelcontextprotocol/sdk: the TypeScript SDK that most clients still have. It knows no revision after 2025-11-25.
import { load } from '../parties.mjs';
import { CAPABILITIES, drive } from './steps.mjs';

const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = await load('@modelcontextprotocol/sdk/client/streamableHttp.js');
const { SSEClientTransport } = await load('@modelcontextprotocol/sdk/client/sse.js');
const { StdioClientTransport } = await load('@modelcontextprotocol/sdk/client/stdio.js');
const { CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema } = await load('@modelcontextprotocol/sdk/types.js');

await drive(async ({ target }, { on }) => {
    const client = new Client({ name: 'typescript-v1', version: '1' }, { capabilities: CAPABILITIES });
    client.legacy = true;
    for (const schema of [CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema]) {
        client.setRequestHandler(schema, ({ method, params }) => on(method, params));
    }
    const transport = {
        http: () => new StreamableHTTPClientTransport(new URL(target.url)),
        sse: () => new SSEClientTransport(new URL(target.url)),
        stdio: () => new StdioClientTransport({ ...target, env: { ...process.env, ...target.env }, stderr: 'inherit' }),
    }[target.transport]();
    let version;
    transport.setProtocolVersion = ((set) => (spoken) => {
        version = spoken;
        set?.call(transport, spoken);
    })(transport.setProtocolVersion);
    await client.connect(transport);
    return { client, version, close: () => client.close() };
});
