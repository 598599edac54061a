// What every client of the matrix does: a list of steps, each of which says what it must find.
//
//   { do: 'tools', include: [name] }
//   { do: 'call', name, arguments, expect, asks?, progress? }    expect: a part of the text
//   { do: 'resource', uri, expect }
//   { do: 'prompt', name, arguments, expect }
//
// `asks` is a method that the server must have asked the client with meanwhile; `progress` is how many
// progress notifications must have come.

/** What the clients of these tests answer to a server's question, and what they were asked. */
export function answers() {
    const asked = [];
    const answer = {
        'sampling/createMessage': () => ({ role: 'assistant', model: 'test', content: { type: 'text', text: 'sampled' } }),
        'elicitation/create': ({ requestedSchema }) => ({ action: 'accept', content: fill(requestedSchema) }),
        'roots/list': () => ({ roots: [{ uri: 'file:///tmp', name: 'scratch' }] }),
    };
    return { asked, on: (method, params) => (asked.push(method), answer[method](params)) };
}

function fill({ properties = {}, required = [] } = {}) {
    const wanted = new Set([...required, ...('name' in properties ? ['name'] : [])]);
    return Object.fromEntries([...wanted].map((name) => [name, properties[name]?.type === 'boolean' ? true : 'Ada']));
}

export const CAPABILITIES = { sampling: {}, elicitation: { form: {} }, roots: {} };

function has(text, expect, what) {
    if (!text.includes(expect)) throw new Error(`${what}: expected ${JSON.stringify(expect)} in ${text.slice(0, 400)}`);
}

/** Plays the steps with a client of either TypeScript SDK. */
export async function play(client, { steps, prefix = '' }, { asked }) {
    for (const step of steps) {
        const name = prefix + step.name;
        if (step.do === 'tools') {
            const { tools } = await client.listTools();
            const names = tools.map((tool) => tool.name);
            for (const one of step.include) {
                if (!names.includes(prefix + one)) throw new Error(`tools/list: ${prefix + one} is missing in ${names}`);
            }
        } else if (step.do === 'call') {
            let progress = 0;
            asked.length = 0;
            const onprogress = step.progress ? () => (progress += 1) : undefined;
            const result = await client.callTool({ name, arguments: step.arguments }, ...(client.legacy ? [undefined] : []), { onprogress });
            if (result.isError) throw new Error(`${name} failed: ${JSON.stringify(result.content).slice(0, 400)}`);
            has(result.content.map(({ text }) => text ?? '').join('\n'), step.expect, name);
            if (progress < (step.progress ?? 0)) throw new Error(`${name}: ${progress} progress notifications, ${step.progress} expected`);
            if (step.asks && !asked.includes(step.asks)) throw new Error(`${name}: the client was not asked with ${step.asks}`);
        } else if (step.do === 'resource') {
            const { contents } = await client.readResource({ uri: step.uri });
            has(contents.map(({ text }) => text ?? '').join('\n'), step.expect, step.uri);
        } else if (step.do === 'prompt') {
            const { messages } = await client.getPrompt({ name, arguments: step.arguments });
            has(messages.map(({ content }) => content.text ?? '').join('\n'), step.expect, name);
        } else {
            throw new Error(`no such step: ${step.do}`);
        }
    }
}

/** Runs a driver: reads its task from the command line, prints the version it spoke, says what went wrong. */
export async function drive(connect) {
    try {
        const task = JSON.parse(process.argv[2]);
        const answering = answers();
        const { client, version, close } = await connect(task, answering);
        await play(client, task, answering);
        await close();
        console.log(JSON.stringify({ version }));
        process.exit(0);
    } catch (error) {
        console.error(error?.message ?? error, error?.data ?? '', error?.cause ?? '');
        process.exit(1);
    }
}
