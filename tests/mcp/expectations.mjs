// What expected-failures.yml says.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { here, load } from './parties.mjs';

const { parse } = await load('yaml').then((module) => module.default ?? module);
const expected = parse(readFileSync(join(here, 'expected-failures.yml'), 'utf8')) ?? {};

/**
 * Splits the failures of a run, each `{ name, check? }`, into those that are explained and those
 * that are not, and finds the explanations that nothing needs.
 */
export function judge(run, failures) {
    const known = new Map(Object.entries(expected[run] ?? {}));
    const used = new Set();
    const unexplained = failures.filter(({ name, check }) => {
        const key = [`${name}:${check}`, name].find((one) => known.has(one));
        if (key) used.add(key);
        return !key;
    });
    const stale = [...known.keys()].filter((key) => !used.has(key));
    return { unexplained, explained: failures.length - unexplained.length, stale };
}
