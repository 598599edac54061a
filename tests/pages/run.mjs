// See run.sh.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { start, stop } from '../mcp/processes.mjs';
import { open, withBrowser } from './browser.mjs';

const KEY = 'a-key-of-thirty-two-characters-x';
const [pictures] = process.argv.slice(2);
if (pictures) mkdirSync(pictures, { recursive: true });

/** A backend that has users. */
async function backend() {
    const server = createServer((request, response) => {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(request.url === '/api/getUser' ? { name: 'Ada' } : {}));
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server;
}

/** A gateway before it. */
async function gateway(endpoint, env = {}) {
    const started = await start(process.env.BARTIZAN, ['serve'], {
        pattern: /listening"?.*?(127\.0\.0\.1:\d+)/,
        cwd: process.env.PAGES_PARTIES,
        env: {
            MCP_GATEWAY_PORT: '0',
            MCP_SERVICES: 'users',
            MCP_SERVICE_USERS_ENDPOINT: endpoint,
            MCP_SERVICE_USERS_AUTH_TYPE: 'bearer',
            MCP_SERVICE_USERS_TOKEN: 'sk-2f6c1e',
            ...env,
        },
    });
    return { ...started, base: `http://${started.match[1]}` };
}

async function picture(page, name) {
    if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`) });
}

/** Unfolds an operation of Swagger UI and makes it ready to be tried. */
async function tryOut(page, path, method) {
    const operation = page.locator('.opblock', {
        has: page.locator(`.opblock-summary-path[data-path="${path}"]`),
        hasText: method,
    });
    await operation.locator('.opblock-summary').click();
    await operation.getByRole('button', { name: 'Try it out' }).click();
    return operation;
}

/** What comes of pressing Execute: the status and the body that the page shows. */
async function execute(page, operation) {
    const answered = page.waitForResponse((response) => response.request().resourceType() === 'fetch');
    await operation.getByRole('button', { name: 'Execute' }).click();
    await answered;
    const live = operation.locator('.live-responses-table .response');
    const status = await live.locator('.response-col_status').innerText();
    const body = await live.locator('.response-col_description .highlight-code code').first().innerText();
    return { status: status.split('\n')[0].trim(), body };
}

/** The browser says in its console when an answer is a refusal, which is what was asked for. */
const unexpected = (faults, status) => faults.filter((fault) => !fault.includes(`the server responded with a status of ${status}`));

const tests = {
    async 'a call made from Swagger UI is answered in it'(context, users) {
        const { page, faults } = await open(context, `${users.base}/docs`);
        await page.getByRole('heading', { name: 'Bartizan' }).waitFor();
        const tags = await page.locator('.opblock-tag-section h3 a').allInnerTexts();
        assert.equal(tags[0], 'Services');
        assert.ok(tags.length >= 2, `${tags}`);
        await picture(page, 'swagger-ui');

        const operation = await tryOut(page, '/mcp/request', 'POST');
        const call = { id: 'from-the-page', service: 'users', operation: 'getUser', parameters: {} };
        await operation.locator('textarea.body-param__text').fill(JSON.stringify(call));
        const { status, body } = await execute(page, operation);
        assert.equal(status, '200');
        const answer = JSON.parse(body);
        assert.equal(answer.success, true);
        assert.equal(answer.requestId, 'from-the-page');
        assert.deepEqual(answer.data, { name: 'Ada' });
        await operation.scrollIntoViewIfNeeded();
        await picture(page, 'swagger-ui-answer');

        const health = await execute(page, await tryOut(page, '/mcp/health', 'GET'));
        assert.equal(health.status, '200');
        assert.equal(JSON.parse(health.body).status, 'healthy');
        assert.deepEqual(faults, []);
    },

    async 'a key given to Swagger UI goes with its calls'(context, _, keyed) {
        const { page, faults } = await open(context, `${keyed.base}/docs`);
        const operation = await tryOut(page, '/mcp/services', 'GET');
        assert.equal((await execute(page, operation)).status, '401');
        assert.deepEqual(unexpected(faults, 401), []);
        faults.length = 0;

        await page.locator('.auth-wrapper .authorize').first().click();
        const dialog = page.locator('.modal-ux');
        await dialog.locator('input').first().fill(KEY);
        await dialog.getByRole('button', { name: 'Apply credentials' }).first().click();
        await picture(page, 'swagger-ui-key');
        await dialog.getByRole('button', { name: 'Close' }).first().click();
        const { status, body } = await execute(page, operation);
        assert.equal(status, '200');
        assert.equal(JSON.parse(body).services[0].name, 'users');
        assert.deepEqual(faults, []);
    },

    async 'ReDoc shows every operation'(context, users) {
        const { page, faults } = await open(context, `${users.base}/redoc`);
        await page.locator('h1', { hasText: 'Bartizan' }).waitFor();
        const document = await (await fetch(`${users.base}/openapi.json`)).json();
        const headings = await page.locator('h1, h2').allInnerTexts();
        for (const { name } of document.tags) assert.ok(headings.includes(name), `${name} is not in ${headings}`);
        const operations = Object.values(document.paths).flatMap(Object.values);
        for (const { summary } of operations) assert.ok(headings.includes(summary), `${summary} is not in ${headings}`);
        await picture(page, 'redoc');

        // The search runs in a worker.
        await page.locator('input[type="text"]').fill('definition');
        await page.locator('[data-role="search:results"] li').first().waitFor();
        await page.locator('[data-role="search:results"] li').first().click();
        await picture(page, 'redoc-search');
        assert.deepEqual(faults, []);
    },

    async 'the examples work against the demo'() {
        const demo = await start(process.env.BARTIZAN, ['demo', '--port', '0'], { pattern: /http:\/\/(127\.0\.0\.1:\d+)/ });
        const base = `http://${demo.match[1]}`;
        const document = await (await fetch(`${base}/openapi.json`)).json();
        let tried = 0;
        for (const [path, methods] of Object.entries(document.paths)) {
            for (const [method, operation] of Object.entries(methods)) {
                if (!['Services', 'Tools'].includes(operation.tags[0])) continue;
                const filled = (operation.parameters ?? []).filter((it) => it.in === 'path').reduce((url, it) => url.replace(`{${it.name}}`, it.example), path);
                const content = operation.requestBody?.content['application/json'];
                const bodies = content ? (content.examples ? Object.values(content.examples).map((it) => it.value) : [content.example]) : [undefined];
                for (const body of bodies) {
                    const headers = body && { 'content-type': 'application/json' };
                    const response = await fetch(base + filled, { method: method.toUpperCase(), headers, body: body && JSON.stringify(body) });
                    const answer = await response.json();
                    assert.equal(response.status, 200, `${method} ${filled}: ${JSON.stringify(answer)}`);
                    if (body && path === '/mcp/request') assert.equal(answer.success, true, `${JSON.stringify(body)}: ${JSON.stringify(answer)}`);
                    tried += 1;
                }
            }
        }
        assert.ok(tried >= 10, `only ${tried} examples`);
        await stop(demo);
    },
};

const server = await backend();
const endpoint = `http://127.0.0.1:${server.address().port}`;
const users = await gateway(endpoint);
const keyed = await gateway(endpoint, { MCP_GATEWAY_API_KEYS: KEY });
let failed = 0;
await withBrowser(async (context) => {
    for (const [name, test] of Object.entries(tests)) {
        try {
            await test(context, users, keyed);
            console.log(`ok  ${name}`);
        } catch (error) {
            failed += 1;
            console.log(`NO  ${name}\n${error.stack}`);
        }
    }
});
await Promise.all([users, keyed].map(stop));
server.close();
process.exit(failed ? 1 : 0);
