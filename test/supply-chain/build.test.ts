// The same sources give the same files, and the image holds nothing that depends on when it was built.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const ROOT = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'build-'));
after(() => rmSync(folder, { recursive: true }));

test('two builds are the same, byte for byte', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const [tsc, ...args] = scripts.build.split(' ');
  assert.equal(tsc, 'tsc');
  const [first, second] = ['a', 'b'].map((name) => {
    const out = join(folder, name);
    execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), ...args, '--outDir', out], {
      cwd: ROOT,
    });
    return digests(out);
  });
  assert.ok(first && first.size > 300);
  assert.deepEqual(first, second);
});

function digests(at: string): Map<string, string> {
  const files = readdirSync(at, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).sort();
  return new Map(
    paths.map((path) => [path.slice(at.length), createHash('sha256').update(readFileSync(path)).digest('hex')]),
  );
}

test('Dockerfile: what the last stage copies was given a time by the stage before', () => {
  const stages = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
    .split(/^FROM /m)
    .slice(1);
  const [service] = stages.slice(-1) as [string];
  const copies = service.split('\n').filter((line) => line.startsWith('COPY '));
  assert.ok(copies.length > 0);
  for (const line of copies) {
    const from = /--from=(\S+)/.exec(line)?.[1];
    const stage = stages.find((text) => text.split('\n')[0]?.endsWith(` AS ${from}`)) ?? '';
    assert.match(stage, /find .* -exec touch --no-dereference --date="@\$SOURCE_DATE_EPOCH"/, line);
  }
  assert.doesNotMatch(service, /^RUN /m);
});
