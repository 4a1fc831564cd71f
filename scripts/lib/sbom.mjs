// CycloneDX 1.6 from package-lock.json. `npm sbom --omit=dev` (npm 11) leaves out what development packages use as well:
// grpc-js and jose, among others.

/**
 * @typedef {object} LockEntry
 * @property {string} version
 * @property {string} [name] where it differs from the folder
 * @property {string} [resolved]
 * @property {string} [integrity]
 * @property {string} [license]
 * @property {boolean} [dev]
 * @property {boolean} [devOptional]
 * @property {Record<string, string>} [dependencies]
 * @property {Record<string, string>} [optionalDependencies]
 * @property {Record<string, string>} [peerDependencies]
 */

/**
 * The packages that are there when the service runs, and who needs whom. The same lock gives the same text.
 * @param {Record<string, LockEntry>} packages of package-lock.json, by folder; '' is the project
 * @param {Date} time when it was made
 */
export function sbomOf(packages, time) {
  const root = packages[''];
  const runtime = Object.entries(packages)
    .filter(([folder, entry]) => folder !== '' && !entry.dev && !entry.devOptional)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  // Two folders may hold the same package.
  const components = new Map(runtime.map(([folder, entry]) => [purlOf(folder, entry), component(folder, entry)]));
  const own = `pkg:npm/${root.name}@${root.version}`;
  const dependencies = new Map([[own, needs('', root, packages)]]);
  for (const [folder, entry] of runtime) {
    const purl = purlOf(folder, entry);
    dependencies.set(purl, [...new Set([...(dependencies.get(purl) ?? []), ...needs(folder, entry, packages)])]);
  }
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: time.toISOString(),
      component: {
        'bom-ref': own,
        type: 'application',
        name: root.name,
        version: root.version,
        purl: own,
        licenses: licenses(root),
      },
    },
    components: [...components.values()],
    dependencies: [...dependencies].map(([ref, dependsOn]) => ({ ref, dependsOn: dependsOn.sort() })),
  };
}

/** @param {string} folder @param {LockEntry} entry */
function nameOf(folder, entry) {
  return entry.name ?? folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
}

/** @param {string} folder @param {LockEntry} entry */
function purlOf(folder, entry) {
  return `pkg:npm/${nameOf(folder, entry).replace('@', '%40')}@${entry.version}`;
}

/** @param {string} folder @param {LockEntry} entry */
function component(folder, entry) {
  const purl = purlOf(folder, entry);
  const [algorithm, digest] = (entry.integrity ?? '').split('-', 2);
  if (algorithm !== 'sha512' || !digest) throw new Error(`package-lock.json has no sha512 of ${folder}`);
  return {
    'bom-ref': purl,
    type: 'library',
    name: nameOf(folder, entry),
    version: entry.version,
    purl,
    hashes: [{ alg: 'SHA-512', content: Buffer.from(digest, 'base64').toString('hex') }],
    licenses: licenses(entry),
  };
}

/** One id, or an expression such as `(MIT OR Apache-2.0)`. @param {LockEntry} entry */
function licenses({ license = '' }) {
  if (license === '') return [];
  return license.includes(' ') ? [{ expression: license }] : [{ license: { id: license } }];
}

/**
 * Packages that Node finds for what `entry` asks for: the nearest folder upwards.
 * @param {string} folder
 * @param {LockEntry} entry
 * @param {Record<string, LockEntry>} packages
 */
function needs(folder, entry, packages) {
  const wanted = { ...entry.dependencies, ...entry.optionalDependencies, ...entry.peerDependencies };
  return Object.keys(wanted).flatMap((name) => {
    for (let at = folder; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
      const place = `${at === '' ? '' : `${at}/`}node_modules/${name}`;
      const found = packages[place];
      if (found) return found.dev || found.devOptional ? [] : [purlOf(place, found)];
      if (at === '') return []; // optional, and not for this platform or not installed
    }
  });
}
