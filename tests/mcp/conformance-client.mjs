// The client that the conformance suite starts in client mode: the TypeScript SDK, doing what the
// scenario in MCP_CONFORMANCE_SCENARIO asks for against the address it is given last.
import { consenting } from './oauth.mjs';
import { load } from './parties.mjs';

const sdk = await load('@modelcontextprotocol/client');

const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? '2026-07-28';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const url = new URL(process.argv.at(-1));

// Consent once to begin with and once for a wider scope; a server that asks again must be left.
const MOST_REFUSALS = 2;
let refusals = 0;

/** A connected client and its transport, authorized as often as the server asks for it. */
async function connect({ capabilities = {}, provider, mode, fetch, prepare = () => {} } = {}) {
    for (;;) {
        const versionNegotiation = { mode: mode ?? (revision >= '2026-07-28' ? { pin: revision } : 'legacy') };
        const client = new sdk.Client({ name: 'bartizan-conformance', version: '1' }, { capabilities, versionNegotiation });
        prepare(client);
        const transport = new sdk.StreamableHTTPClientTransport(url, { authProvider: provider, fetch });
        try {
            await client.connect(transport);
            return { client, transport };
        } catch (error) {
            if (!(await consented(error, provider, transport))) throw error;
        }
    }
}

/** Whether the user's consent answers the error, so that what failed may be tried again. */
async function consented(error, provider, transport) {
    const answer = provider?.answer;
    if (!answer || !unauthorized(error) || refusals >= MOST_REFUSALS) return false;
    refusals += 1;
    provider.answer = undefined;
    await transport.finishAuth(answer);
    // The next refusal may come from a server that has moved to another authorization server.
    provider.invalidateCredentials('discovery');
    return true;
}

function unauthorized(error) {
    for (let cause = error; cause; cause = cause.cause ?? cause.data?.cause) {
        if (sdk.UnauthorizedError.isInstance(cause)) return true;
    }
    return false;
}

async function persist(provider, transport, attempt) {
    for (;;) {
        try {
            return await attempt();
        } catch (error) {
            if (!(await consented(error, provider, transport))) throw error;
        }
    }
}

/** Lists, calls the first tool, and goes. */
async function listAndCall() {
    const { client } = await connect();
    const { tools } = await client.listTools();
    if (tools[0]) await client.callTool({ name: tools[0].name, arguments: { a: 2, b: 3 } });
    await client.close();
}

async function list(options) {
    const { client } = await connect(options);
    await client.listTools();
    await client.close();
}

async function authorize(provider) {
    const { client, transport } = await connect({ provider });
    await persist(provider, transport, () => client.listTools());
    await persist(provider, transport, () => client.callTool({ name: 'test-tool', arguments: {} }));
    await client.close();
}

/** Asks for everything that has a name of its own in the headers. */
async function headers() {
    const { client } = await connect();
    const { tools } = await client.listTools();
    for (const { name } of tools) await client.callTool({ name, arguments: {} });
    const { resources } = await client.listResources();
    for (const { uri } of resources) await client.readResource({ uri });
    const { prompts } = await client.listPrompts();
    for (const { name } of prompts) await client.getPrompt({ name });
    await client.close();
}

async function customHeaders() {
    const { client } = await connect();
    await client.listTools();
    for (const call of context.toolCalls ?? []) await client.callTool(call);
    await client.close();
}

async function everyListedTool() {
    const { client } = await connect();
    const { tools } = await client.listTools();
    for (const { name } of tools) {
        const headers = { region: 'us-west1', query: 'SELECT 1' };
        await client.callTool({ name, arguments: headers }).catch(() => {});
    }
    await client.close();
}

/** Questions are answered by the SDK; between a question and its answer comes another call. */
async function rounds() {
    const { client } = await connect({
        capabilities: { elicitation: {} },
        prepare: (client) =>
            client.setRequestHandler('elicitation/create', async () => {
                await client.callTool({ name: 'test_mrtr_unrelated', arguments: {} });
                return { action: 'accept', content: { confirmed: true } };
            }),
    });
    await client.listTools();
    await client.callTool({ name: 'test_mrtr_echo_state', arguments: {} });
    await client.callTool({ name: 'test_mrtr_no_state', arguments: {} });
    await client.callTool({ name: 'test_mrtr_no_result_type', arguments: {} }).catch(() => {});
    await client.close();
}

/** The suite's server asks on the stream of the GET, and what it asks before there is one is lost. */
async function elicitDefaults() {
    let opened;
    const listening = new Promise((resolve) => (opened = resolve));
    const { client } = await connect({
        fetch: async (address, init) => {
            const response = await fetch(address, init);
            if (init?.method === 'GET') opened();
            return response;
        },
        capabilities: { elicitation: { form: { applyDefaults: true } } },
        prepare: (client) => client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: {} })),
    });
    await client.listTools();
    await listening;
    await client.callTool({ name: 'test_client_elicitation_defaults', arguments: {} });
    await client.close();
}

async function reconnect() {
    const { client } = await connect();
    await client.callTool({ name: 'test_reconnection', arguments: {} });
    await client.close();
}

/** Hands a schema back to the server as the client saw it. */
async function echoSchema() {
    const { client } = await connect();
    const { tools } = await client.listTools();
    const { inputSchema } = tools.find(({ name }) => name === 'json_schema_2020_12_tool');
    await client.callTool({ name: 'json_schema_echo', arguments: { schema: inputSchema } });
    await client.close();
}

/** ID-JAG: the identity provider's token becomes one of the MCP server's authorization server. */
async function enterprise() {
    const provider = new sdk.CrossAppAccessProvider({
        clientId: context.client_id,
        clientSecret: context.client_secret,
        assertion: async ({ authorizationServerUrl, resourceUrl, scope, fetchFn }) => {
            const grant = await sdk.requestJwtAuthorizationGrant({
                tokenEndpoint: context.idp_token_endpoint,
                audience: authorizationServerUrl,
                resource: resourceUrl,
                idToken: context.idp_id_token,
                clientId: context.idp_client_id,
                scope,
                fetchFn,
            });
            return grant.jwtAuthGrant;
        },
    });
    await authorize(provider);
}

const metadata = 'https://conformance-test.local/client-metadata.json';

const scenarios = {
    initialize: listAndCall,
    tools_call: listAndCall,
    'elicitation-sep1034-client-defaults': elicitDefaults,
    'sse-retry': reconnect,
    'request-metadata': () => list({ mode: 'auto', capabilities: { elicitation: {}, roots: {}, sampling: {} } }),
    'sep-2322-client-request-state': rounds,
    'http-standard-headers': headers,
    'http-custom-headers': customHeaders,
    'http-invalid-tool-headers': everyListedTool,
    'json-schema-ref-no-deref': list,
    'json-schema-2020-12-preservation': echoSchema,
    'auth/pre-registration': () =>
        authorize(consenting({ client: { client_id: context.client_id, client_secret: context.client_secret } })),
    'auth/client-credentials-jwt': () =>
        authorize(
            new sdk.PrivateKeyJwtProvider({
                clientId: context.client_id,
                privateKey: context.private_key_pem,
                algorithm: context.signing_algorithm ?? 'ES256',
            }),
        ),
    'auth/client-credentials-basic': () =>
        authorize(new sdk.ClientCredentialsProvider({ clientId: context.client_id, clientSecret: context.client_secret })),
    'auth/enterprise-managed-authorization': enterprise,
};

const play = scenarios[scenario] ?? (scenario?.startsWith('auth/') && (() => authorize(consenting({ clientMetadataUrl: metadata }))));
if (!play) {
    console.error(`no such scenario: ${scenario}`);
    process.exit(2);
}
try {
    await play();
    process.exit(0);
} catch (error) {
    console.error(error);
    process.exit(1);
}
