// `npm run sbom`: what is listed is what the lock file says runs.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Child } from '../support/child.ts';
import type { Loose } from '../support/good-pair.ts';

const ROOT = join(import.meta.dirname, '../..');
const project = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const lock: Record<string, Loose> = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages;
const folder = mkdtempSync(join(tmpdir(), 'sbom-'));
after(() => rmSync(folder, { recursive: true }));

async function sbom(name: string): Promise<string> {
  const file = join(folder, name);
  const [node, script, ...rest] = project.scripts.sbom.split(' ');
  assert.deepEqual([node, rest], ['node', []]);
  const child = new Child('sbom', process.execPath, [join(ROOT, script), file], { SOURCE_DATE_EPOCH: '1700000000' });
  assert.equal(await child.exited, 0, child.stderr);
  return readFileSync(file, 'utf8');
}

/** Folders of packages that are reached from the dependencies of `package.json`, as Node looks them up. */
function reached(): Set<string> {
  const found = new Set<string>();
  const visit = (from: string, names: Iterable<string>) => {
    for (const name of names) {
      let at = from;
      while (!lock[`${at}node_modules/${name}`] && at !== '') at = at.replace(/node_modules\/(@[^/]+\/)?[^/]+\/$/, '');
      const place = `${at}node_modules/${name}`;
      if (!lock[place] || found.has(place)) continue;
      found.add(place);
      const { dependencies = {}, optionalDependencies = {}, peerDependencies = {} } = lock[place];
      visit(`${place}/`, Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies }));
    }
  };
  visit('', Object.keys(project.dependencies));
  return found;
}

test('every package that runs, and no other, with the hash that npm checks', async () => {
  const { components, bomFormat, specVersion, metadata }: Loose = JSON.parse(await sbom('a.json'));
  assert.deepEqual([bomFormat, specVersion], ['CycloneDX', '1.6']);
  assert.deepEqual([metadata.component.name, metadata.component.version], [project.name, project.version]);
  const listed = components.map(({ name, version }: Loose) => `${name}@${version}`);
  const places = [...reached()];
  const wanted = places.map((place) => `${place.split('node_modules/').at(-1)}@${lock[place].version}`);
  assert.ok(wanted.length > 40);
  assert.deepEqual(listed.toSorted(), [...new Set(wanted)].sort());
  for (const { name, purl, hashes, licenses } of components) {
    const place = places.find((one) => one.endsWith(`node_modules/${name}`)) as string;
    assert.equal(purl, `pkg:npm/${name.replace('@', '%40')}@${lock[place].version}`);
    const sha512 = Buffer.from(lock[place].integrity.slice('sha512-'.length), 'base64').toString('hex');
    assert.deepEqual(hashes, [{ alg: 'SHA-512', content: sha512 }]);
    assert.equal(licenses.length, 1, name);
  }
});

test('who needs whom: everything listed is needed by something listed', async () => {
  const { components, dependencies, metadata }: Loose = JSON.parse(await sbom('b.json'));
  const refs = new Set(components.map((component: Loose) => component['bom-ref']));
  const edges = dependencies.flatMap(({ dependsOn }: Loose) => dependsOn);
  assert.deepEqual(new Set(edges), refs);
  const own = dependencies.find(({ ref }: Loose) => ref === metadata.component['bom-ref']).dependsOn;
  const direct = Object.entries<string>(project.dependencies).map(
    ([name, version]) => `pkg:npm/${name.replace('@', '%40')}@${version}`,
  );
  assert.deepEqual(own, direct.sort());
});

test('the same lock file gives the same bytes', async () => {
  assert.equal(await sbom('c.json'), await sbom('d.json'));
});

test('nothing that runs has to execute code while it is installed, or comes from elsewhere than the registry', () => {
  // protobufjs has a script that prints a hint about versions; test/supply-chain/package.test.ts runs without it.
  const scripts = [...reached()].filter((place) => lock[place].hasInstallScript);
  assert.deepEqual(scripts, ['node_modules/protobufjs']);
  for (const place of reached()) {
    assert.match(lock[place].integrity, /^sha512-/, place);
    const { resolved } = lock[place];
    if (resolved !== undefined) assert.match(resolved, /^https:\/\/registry\.npmjs\.org\//, place);
  }
});

test('direct dependencies are pinned, and those installed are those of the lock', () => {
  const require = createRequire(join(ROOT, 'package.json'));
  for (const [name, version] of Object.entries({ ...project.dependencies, ...project.devDependencies })) {
    assert.match(version as string, /^\d+\.\d+\.\d+(-[\w.]+)?$/, name);
    const [folderOf] = require.resolve.paths(name) as string[];
    const { version: installed } = JSON.parse(readFileSync(join(folderOf as string, name, 'package.json'), 'utf8'));
    assert.equal(installed, version, name);
  }
});
