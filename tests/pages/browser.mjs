// A browser that notes what pages ask for and complain of.
import { createRequire } from 'node:module';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { chromium } = createRequire(join(process.env.PAGES_PARTIES, '/'))('playwright-core');

const FLAGS = [
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-gpu',
    '--disable-quic',
    '--disable-sync',
    '--no-first-run',
    '--no-sandbox',
];

/** Starts a browser that knows nothing, and gives it to `use`. */
export async function withBrowser(use) {
    const profile = mkdtempSync(join(tmpdir(), 'pages-'));
    const context = await chromium.launchPersistentContext(profile, {
        executablePath: process.env.CHROMIUM,
        headless: true,
        args: FLAGS,
        viewport: { width: 1280, height: 1100 },
    });
    try {
        return await use(context);
    } finally {
        await context.close();
        rmSync(profile, { recursive: true, force: true });
    }
}

/** Opens a page. `faults` is everything about it that must not be. */
export async function open(context, url) {
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    const faults = [];
    page.on('request', (request) => {
        const { protocol, origin } = new URL(request.url());
        if (protocol !== 'data:' && protocol !== 'blob:' && origin !== new URL(url).origin) faults.push(`asked for ${request.url()}`);
    });
    page.on('requestfailed', (request) => faults.push(`${request.url()} failed: ${request.failure()?.errorText}`));
    page.on('console', (message) => {
        if (['error', 'warning'].includes(message.type())) faults.push(`${message.type()} in the console: ${message.text()}`);
    });
    page.on('pageerror', (error) => faults.push(`error in the page: ${error.message}`));
    await page.goto(url, { waitUntil: 'networkidle' });
    return { page, faults };
}
