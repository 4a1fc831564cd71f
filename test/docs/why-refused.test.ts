// What docs/operations/why-refused.md shows is what the command prints.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fences } from './fences.ts';

const ROOT = join(import.meta.dirname, '../..');
const steady = (text: string) => text.replace(/"duration_ms":[\d.]+/, '"duration_ms":0');

test('the example of why-refused.md', async () => {
  const [command, output] = fences(readFileSync(join(ROOT, 'docs/operations/why-refused.md'), 'utf8'));
  const line = (command?.text ?? '').replace(/^envoy-mcp-identity /, `"${process.execPath}" src/main.ts `);
  const { code, stdout } = await new Promise<{ code: unknown; stdout: string }>((resolve) =>
    execFile('/bin/sh', ['-c', line], { cwd: ROOT }, (error, text) =>
      resolve({ code: error?.code ?? 0, stdout: text }),
    ),
  );
  assert.equal(steady(stdout).trim(), steady(output?.text ?? '').trim());
  assert.equal(code, 1);
});
