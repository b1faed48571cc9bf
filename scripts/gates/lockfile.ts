/** What package-lock.json must be: complete, without any registry's address, and by exact versions. */

export interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export interface Lockfile {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

/** The same lockfile with an entry for every optional package that one of its packages names by an exact version. */
export function completeLockfile(lockfile: Lockfile): Lockfile {
  const packages: Record<string, LockedPackage> = { ...lockfile.packages };
  for (const { name, version, by } of missingOptionalPackages(lockfile)) {
    if (!/^\d+\.\d+\.\d+/.test(version)) throw new Error(`expected an exact version of ${name}, got ${version}`);
    const entry = { version, ...(by.dev && { dev: true }), optional: true, ...platformOf(name) };
    packages[`node_modules/${name}`] = entry;
  }
  const sorted = Object.keys(packages).sort((a, b) => a.localeCompare(b, 'en'));
  return { ...lockfile, packages: Object.fromEntries(sorted.map((path) => [path, packages[path] ?? {}])) };
}

export function lockfileProblems(lockfile: Lockfile): string[] {
  const root = lockfile.packages[''] ?? {};
  const direct = Object.entries({ ...root.dependencies, ...root.devDependencies });
  return [
    ...missingOptionalPackages(lockfile).map(({ name }) => `${name} is missing: npm run lockfile`),
    ...Object.entries(lockfile.packages)
      .filter(([, entry]) => entry.resolved !== undefined)
      .map(([path, entry]) => `${path} names an address: ${entry.resolved}`),
    ...direct.filter(([, range]) => !/^\d/.test(range)).map(([name, range]) => `${name} is not exact: ${range}`),
  ];
}

interface MissingPackage {
  readonly name: string;
  readonly version: string;
  readonly by: LockedPackage;
}

function missingOptionalPackages(lockfile: Lockfile): MissingPackage[] {
  const missing = new Map<string, MissingPackage>();
  for (const [path, by] of Object.entries(lockfile.packages)) {
    for (const [name, version] of Object.entries(by.optionalDependencies ?? {})) {
      const present = lockfile.packages[`node_modules/${name}`] ?? lockfile.packages[`${path}/node_modules/${name}`];
      if (present === undefined) missing.set(name, { name, version, by });
    }
  }
  return [...missing.values()];
}

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'openharmony', 'openbsd', 'sunos', 'win32'];
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'x64'];

/**
 * System, processor and C library from the name, by the convention that such packages follow:
 * `@scope/binding-linux-arm-musleabihf`.
 */
export function platformOf(name: string): Pick<LockedPackage, 'os' | 'cpu' | 'libc'> {
  const parts = (name.split('/').at(-1) ?? '').split('-');
  const os = systems.filter((system) => parts.includes(system));
  const cpu = processors.filter((processor) => parts.includes(processor));
  if (os.length !== 1 || cpu.length !== 1) throw new Error(`expected one system and one processor in the name ${name}`);
  const abi = parts.at(-1) ?? '';
  if (os[0] !== 'linux') return { cpu, os };
  return { cpu, libc: [abi.startsWith('musl') ? 'musl' : 'glibc'], os };
}
