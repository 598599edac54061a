// What the conformance suite starts in client mode to judge the gateway: a gateway whose only service
// is the suite's server, and the known-good client on the other side of it.
import { join } from 'node:path';
import { gateway } from './gateway.mjs';
import { here } from './parties.mjs';
import { run, stop } from './processes.mjs';

const endpoint = process.argv.at(-1);
const between = await gateway({ suite: { transport: 'streamable-http', endpoint } });
const played = await run(process.execPath, [join(here, 'conformance-client.mjs'), between.url('suite')], { patience: 25_000 });
await stop(between);
process.stdout.write(played.stdout);
process.stderr.write(played.stderr + between.log);
process.exit(played.code);
