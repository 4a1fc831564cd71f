import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AuditRecord, Log } from '../../../src/core/ports.ts';
import { createAudit } from '../../../src/observe/audit.ts';

const told: string[] = [];
const log: Log = { debug: () => {}, info: (text) => told.push(text), warn: () => {}, error: (text) => told.push(text) };
const record = (request_id: string) => ({ event: 'decision', outcome: 'allow', request_id }) as unknown as AuditRecord;

test('a file that only its owner may read, one object per line, and what was there stays', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'audit-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'audit.jsonl');
  for (const id of ['a', 'b']) {
    const audit = createAudit(`file:${path}`, log);
    audit.write(record(id));
    audit.write(record(`${id}\n2`));
    // The file is opened in the background; lines go there within 10 ms of that.
    while (!existsSync(path) || !readFileSync(path, 'utf8').includes(`${id}\\n2`))
      await new Promise((resolve) => setImmediate(resolve));
    audit.flush();
    assert.equal(audit.broken, false);
  }
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).request_id),
    ['a', 'a\n2', 'b', 'b\n2'],
  );
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('a disk that is full: the audit is broken, and says so once', { skip: !existsSync('/dev/full') }, async () => {
  told.length = 0;
  const audit = createAudit('file:/dev/full', log);
  audit.write(record('a'));
  while (!audit.broken) await new Promise((resolve) => setImmediate(resolve));
  for (const id of ['b', 'c']) audit.write(record(id));
  assert.ok(audit.broken);
  assert.equal(told.filter((text) => text.includes('cannot be written')).length, 1);
});
