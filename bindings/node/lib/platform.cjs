'use strict';

/** The platform's name as the packages have it, such as `linux-x64-gnu`. */
function platform() {
  const name = `${process.platform}-${process.arch}`;
  if (process.platform === 'win32') return `${name}-msvc`;
  if (process.platform !== 'linux') return name;
  const isGlibc = process.report.getReport().header.glibcVersionRuntime !== undefined;
  return `${name}-${isGlibc ? 'gnu' : 'musl'}`;
}

/** The native module's file. */
const moduleName = () => `ottla.${platform()}.node`;

module.exports = { platform, moduleName };
