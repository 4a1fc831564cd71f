// One mistake per file in bad/, and exactly what `check` prints about it. UPDATE=1 writes what it prints now.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { check } from '../../src/cli/check.ts';
import { GOOD_ENV } from '../support/good-pair.ts';

const FOLDER = import.meta.dirname;

/** What `check` prints, run in `folder`, with its exit code as the last line. */
async function printed(folder: string, args: readonly string[]): Promise<string> {
  let text = '';
  const output = { write: (more: string) => (text += more) };
  const code = await check(args, { stdout: output, stderr: output, env: GOOD_ENV, cwd: join(FOLDER, folder) });
  return `${text}exit ${code}\n`;
}

const bad = readdirSync(join(FOLDER, 'bad')).filter((name) => name.endsWith('.yaml'));

test('there are files in bad/', () => {
  assert.ok(bad.length >= 35, `${bad.length} files`);
  const texts = readdirSync(join(FOLDER, 'bad')).filter((name) => name.endsWith('.txt'));
  assert.deepEqual(texts, bad.map((name) => name.replace(/\.yaml$/, '.txt')).sort(), 'one text for each file');
});

for (const name of bad) {
  test(`bad/${name}`, async () => {
    const file = join(FOLDER, 'bad', name);
    const envoy = ['--config', join(FOLDER, 'bad-envoy.sidecar.yaml'), '--envoy', file];
    const now = await printed('bad', name.endsWith('.envoy.yaml') ? envoy : ['--config', file]);
    const expected = file.replace(/\.yaml$/, '.txt');
    if (process.env['UPDATE'] || !existsSync(expected)) writeFileSync(expected, now);
    assert.equal(now, readFileSync(expected, 'utf8'));
    assert.match(
      now,
      new RegExp(
        ` ${name
          .split('-')
          .slice(0, name.startsWith('V-') ? 2 : 1)
          .join('-')} `,
      ),
      'the code is in the name of the file',
    );
    assert.doesNotMatch(now, /hunter2/, 'a secret is never printed');
  });
}

const GOOD = [
  {
    name: 'small',
    args: ['--config', join(FOLDER, 'good/small.sidecar.yaml')],
    says: 'no problems found in 1 route\nexit 0\n',
  },
  {
    name: 'full',
    args: ['--config', join(FOLDER, 'good/full.sidecar.yaml'), '--envoy', join(FOLDER, 'good/full.envoy.yaml')],
    says: 'no problems found in 10 routes\nexit 0\n',
  },
  {
    name: 'full without Envoy',
    args: ['--config', join(FOLDER, 'good/full.sidecar.yaml')],
    says: 'no problems found; no Envoy configuration was checked\nexit 0\n',
  },
];

for (const { name, args, says } of GOOD) {
  test(`good/${name}`, async () => assert.equal(await printed('good', args), says));
}
