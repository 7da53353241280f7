'use strict';
// Where the broker's program is.

const { accessSync, constants, statSync } = require('node:fs');
const { delimiter, join, dirname } = require('node:path');

const { BrokerError } = require('./errors.cjs');

const NAME = process.platform === 'win32' ? 'ottla-broker.exe' : 'ottla-broker';
const VARIABLE = 'OTTLA_BROKER_BIN';

/** The platform's name as the packages have it, such as `linux-x64-gnu`. */
function platform() {
  const name = `${process.platform}-${process.arch}`;
  if (process.platform === 'win32') return `${name}-msvc`;
  if (process.platform !== 'linux') return name;
  const isGlibc = process.report.getReport().header.glibcVersionRuntime !== undefined;
  return `${name}-${isGlibc ? 'gnu' : 'musl'}`;
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The program in the package of the platform, if npm installed it. */
function packaged() {
  try {
    const manifest = require.resolve(`ottla-testing-${platform()}/package.json`);
    return [join(dirname(manifest), 'bin', NAME)];
  } catch {
    return [];
  }
}

/** The chosen one, or that of OTTLA_BROKER_BIN, or the package's, or one on the PATH. */
function findBinary(chosen) {
  for (const [source, named] of [['binary', chosen], [VARIABLE, process.env[VARIABLE]]]) {
    if (!named) continue;
    if (isProgram(named)) return named;
    throw new BrokerError(`${source} names ${named}, which is no program`);
  }
  const onPath = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const places = [...packaged(), ...onPath.map((folder) => join(folder, NAME))];
  const found = places.find(isProgram);
  if (found !== undefined) return found;
  throw new BrokerError(
    `no ${NAME}: neither is the package ottla-testing-${platform()} installed (install without `
    + '--omit=optional; is there one for this platform?) nor is it on the PATH; build it and name '
    + `it by ${VARIABLE} or binary`,
  );
}

module.exports = { findBinary };
