'use strict';
// Finds the native module: beside this package (a build from source), or in the package of the
// platform that npm installed as an optional dependency.

const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { moduleName, platform } = require('./platform.cjs');

function load() {
  const name = platform();
  const beside = join(__dirname, '..', moduleName());
  if (existsSync(beside)) return require(beside);
  try {
    return require(`ottla-${name}`);
  } catch (cause) {
    const hint = cause.code === 'MODULE_NOT_FOUND'
      ? `the package ottla-${name} is not installed: install without --omit=optional, or build `
        + 'from source with `npm run build` if there is none for this platform'
      : cause.message;
    throw new Error(`ottla has no native module for ${name}: ${hint}`, { cause });
  }
}

module.exports = load();
