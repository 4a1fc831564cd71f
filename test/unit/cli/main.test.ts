import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

const MAIN = join(import.meta.dirname, '../../../src/main.ts');
/** More than a pipe holds. */
const PROBLEMS = 5_000;

test('a slow reader gets all of a long output', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'emi-main-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'sidecar.yaml');
  const unknown = Array.from({ length: PROBLEMS }, (_, i) => [`unknown-key-${i}-${'x'.repeat(50)}`, 1]);
  writeFileSync(file, JSON.stringify(Object.fromEntries(unknown)));
  const child = spawn(process.execPath, [MAIN, 'check', '--config', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  let output = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    output += String(chunk);
    await delay(5); // slow
  }
  assert.equal(await ended, 1);
  const told = output.match(/unknown-key-\d+/g) ?? [];
  assert.equal(new Set(told).size, PROBLEMS);
});
