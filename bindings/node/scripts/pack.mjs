// Makes the packages to publish: `node scripts/pack.mjs DIR [MODULE.node]`. `ottla` has the
// JavaScript and names the platform's package as an optional dependency; that one has the native
// module and nothing else. Prints the two files' names.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { moduleName, platform } from './platform.mjs';

const folder = dirname(dirname(fileURLToPath(import.meta.url)));
const root = dirname(dirname(folder));
const [out, native = join(folder, moduleName())] = process.argv.slice(2);
if (out === undefined) throw new Error('name the folder for the packages');
mkdirSync(out, { recursive: true });
const staging = mkdtempSync(join(tmpdir(), 'ottla-pack-'));

function pack(name, description, files, edit) {
  const place = join(staging, name);
  mkdirSync(place);
  for (const [from, to] of files) cpSync(from, join(place, to), { recursive: true });
  copyFileSync(join(root, 'LICENSE'), join(place, 'LICENSE'));
  const source = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const { version, license, engines } = source;
  const made = edit(source, { name, version, description, license, engines });
  writeFileSync(join(place, 'package.json'), `${JSON.stringify(made, undefined, 2)}\n`);
  const args = ['pack', '--pack-destination', resolve(out), '--silent'];
  const packed = execFileSync('npm', args, { cwd: place, encoding: 'utf8' });
  console.log(join(out, basename(packed.trim().split('\n').at(-1))));
}

const platformPackage = `ottla-${platform()}`;
const [os, cpu, libc] = platform().split('-');
pack(platformPackage, `The native module of ottla for ${platform()}`, [
  [native, moduleName()],
], (source, own) => ({
  ...own,
  main: moduleName(),
  files: [moduleName()],
  os: [os],
  cpu: [cpu],
  ...(os === 'linux' ? { libc: [libc === 'gnu' ? 'glibc' : libc] } : {}),
}));

const files = ['README.md', 'index.cjs', 'index.mjs', 'index.d.ts', 'index.d.mts', 'lib'];
pack('ottla', undefined, files.map((file) => [join(folder, file), file]), (source) => {
  const { scripts, devDependencies, ...made } = source;
  return { ...made, optionalDependencies: { [platformPackage]: source.version } };
});
rmSync(staging, { recursive: true });
