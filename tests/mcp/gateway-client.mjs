// What the conformance suite starts in client mode to judge the gateway: a gateway whose only service
// is the suite's server, and the known-good client on the other side of it.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gateway } from './gateway.mjs';
import { here } from './parties.mjs';
import { run, stop } from './processes.mjs';

const endpoint = process.argv.at(-1);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');

/** What an operator would say of a service whose authorization the scenario is about. */
function authorization() {
    const token = context.idp_id_token ?? Object.values(context).find((value) => /^ey.*\..*\./.test(value));
    const said = {
        AUTH_TYPE: 'authorize',
        AUTHORIZE_COMMAND: join(here, 'browser.sh'),
        CLIENT_METADATA_URL: 'https://conformance-test.local/client-metadata.json',
        CLIENT_ID: context.client_id,
        CLIENT_SECRET: context.client_secret,
        PRIVATE_KEY: context.private_key_pem,
        AUTHORIZE_ISSUER: context.issuer,
    };
    if (token) {
        said.IDENTITY_TOKEN_FILE = join(mkdtempSync(join(tmpdir(), 'token-')), 'token');
        writeFileSync(said.IDENTITY_TOKEN_FILE, token);
        said.AUTHORIZE_GRANT = 'jwt-bearer';
        said.IDENTITY_PROVIDER_URL = context.idp_token_endpoint;
        said.IDENTITY_PROVIDER_CLIENT_ID = context.idp_client_id;
    }
    if (scenario.includes('client-credentials')) said.AUTHORIZE_GRANT = 'client-credentials';
    return said;
}

const variables = scenario.startsWith('auth/') ? authorization() : {};
const between = await gateway({ suite: { transport: 'streamable-http', endpoint, variables } });
const played = await run(process.execPath, [join(here, 'conformance-client.mjs'), between.url('suite')], { patience: 25_000 });
await stop(between);
process.stdout.write(played.stdout);
process.stderr.write(played.stderr + between.log);
process.exit(played.code);
