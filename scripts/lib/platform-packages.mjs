// The optional packages of package-lock.json that exist once per platform (binaries of biome, oxlint, TypeScript …).
// npm leaves out of the lock those that the registry at hand does not offer, and then `npm ci` refuses the lock as out
// of step, here and everywhere else.

/**
 * @typedef {{ version?: string, dev?: boolean, devOptional?: boolean, optional?: boolean, os?: string[], cpu?: string[],
 *   libc?: string[], optionalDependencies?: Record<string, string> }} Entry
 */

const SYSTEMS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const PROCESSORS = ['arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64'];

/**
 * The optional dependencies that some package of the lock names and the lock does not hold.
 * @param {Record<string, Entry>} packages `packages` of a lock file
 * @returns {{ path: string, entry: Entry }[]} what to add, without an `integrity`: the registry's own is used
 */
export function missingPlatformPackages(packages) {
  return Object.entries(packages).flatMap(([parent, { dev, optionalDependencies = {} }]) =>
    Object.entries(optionalDependencies)
      .filter(([name]) => !isLocked(name, parent, packages))
      .map(([name, version]) => ({
        path: `node_modules/${name}`,
        entry: { version, ...platformOf(name, dev) },
      })),
  );
}

/**
 * Whether a package is locked where its parent would find it: beside the parent, or in a folder above.
 * @param {string} name
 * @param {string} parent
 * @param {Record<string, Entry>} packages
 */
function isLocked(name, parent, packages) {
  for (let folder = parent; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    if (packages[`${folder === '' ? '' : `${folder}/`}node_modules/${name}`]) return true;
    if (folder === '') return false;
  }
}

/**
 * The restrictions of a platform package, read from its name; fields in npm's order.
 * @param {string} name such as `@oxlint/binding-linux-arm64-musl`
 * @param {boolean} [dev]
 */
function platformOf(name, dev) {
  const words = name.split(/[/-]/);
  const os = SYSTEMS.filter((system) => words.includes(system));
  const cpu = PROCESSORS.filter((processor) => words.includes(processor));
  if (os.length !== 1 || cpu.length !== 1)
    throw new Error(`${name} is no platform package: add it to the lock by hand`);
  const hasMusl = words.some((word) => word.startsWith('musl'));
  const hasGlibc = words.some((word) => word.startsWith('gnu'));
  const libc = hasMusl ? ['musl'] : hasGlibc ? ['glibc'] : undefined;
  return { cpu, ...(dev ? { dev } : {}), ...(libc ? { libc } : {}), optional: true, os };
}
