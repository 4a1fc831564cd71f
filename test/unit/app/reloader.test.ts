import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startApp } from '../../../src/app.ts';
import type { Valid } from '../../../src/app/reloader.ts';
import { validateFiles } from '../../../src/cli/validate-files.ts';

test('a fault while files are read ends neither the service nor later reloads', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'emi-reloader-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'sidecar.json');
  const any = '127.0.0.1:0';
  const config = {
    publicUrl: 'https://mcp.example.com',
    server: { grpc: any, http: any, admin: any },
    audit: { destination: `file:${join(folder, 'audit.jsonl')}` },
    log: { level: 'error' },
  };
  writeFileSync(file, JSON.stringify(config));
  const load = () => validateFiles(file, undefined, {});
  const first = await load();
  assert.ok(first.config, JSON.stringify(first.problems));
  let fault: Error | undefined = new RangeError('a bug in what reads');
  const app = await startApp(first as Valid, () => (fault ? Promise.reject(fault) : load()));
  t.after(() => app.stop('test'));
  const ready = async () => (await (await fetch(`http://${app.addresses.admin}/readyz`)).json()) as object;
  await app.reload('test');
  assert.deepEqual(await ready(), { status: 'ok', configuration: { onDisk: 'rejected', problems: 1 } });
  fault = undefined;
  await app.reload('test');
  assert.deepEqual(await ready(), { status: 'ok' });
});
