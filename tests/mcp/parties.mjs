// Where the installed parties are, and how to load them.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));
export const root = process.env.MCP_PARTIES ?? join(here, '../../target/mcp-parties');
export const python = join(root, 'python/bin/python');
export const packaged = (name) => join(root, 'npm/node_modules', name);

const require = createRequire(join(root, 'npm/'));

/** Imports a module of an installed package. */
export const load = (specifier) => import(pathToFileURL(require.resolve(specifier)));
