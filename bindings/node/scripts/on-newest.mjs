// Runs the tests on the newest Node, which the npm package `node` carries: `npm run test:newest`.
// Extra arguments are test files.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = dirname(dirname(fileURLToPath(import.meta.url)));
const given = process.argv.slice(2);
const files = given.length > 0 ? given : readdirSync(join(folder, 'test'))
  .filter((name) => name.endsWith('.test.mjs')).map((name) => join('test', name));
const npx = process.platform === 'win32' ? 'npx.cmd' : 'npx';
const flags = ['--expose-gc', '--test', '--test-timeout=120000', '--test-reporter=spec'];
const ended = spawnSync(npx, ['--yes', '--package=node@latest', '--', 'node', ...flags, ...files], {
  cwd: folder, stdio: 'inherit', env: { ...process.env, NODE_TEST_CONTEXT: undefined },
});
process.exit(ended.status ?? 1);
