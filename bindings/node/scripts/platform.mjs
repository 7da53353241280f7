// The platform's names; lib/native.cjs has the same rule.
export function platform() {
  const name = `${process.platform}-${process.arch}`;
  if (process.platform === 'win32') return `${name}-msvc`;
  if (process.platform !== 'linux') return name;
  const { glibcVersionRuntime } = process.report.getReport().header;
  return `${name}-${glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`;
}

export const moduleName = () => `ottla.${platform()}.node`;
