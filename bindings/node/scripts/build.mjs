// Builds the native module from source and puts it beside the package, where lib/native.cjs looks
// first: `node scripts/build.mjs [--no-cargo]`.
import { execFileSync } from 'node:child_process';
import { copyFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { moduleName } from '../lib/platform.cjs';

const folder = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(dirname(folder));
const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');
const library = {
  linux: 'libottla_node.so',
  darwin: 'libottla_node.dylib',
  win32: 'ottla_node.dll',
}[process.platform];

if (!process.argv.includes('--no-cargo')) {
  const args = ['build', '--release', '-p', 'ottla-node'];
  execFileSync('cargo', args, { cwd: root, stdio: 'inherit' });
}
// Renamed into place: a process that has the old one mapped keeps it.
const place = join(folder, moduleName());
copyFileSync(join(target, 'release', library), `${place}.new`);
renameSync(`${place}.new`, place);
console.log(`built ${moduleName()}`);
