import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { removeStaleSocket } from '../../../src/core/unix-socket.ts';

describe('removeStaleSocket', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'emi-socket-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('leaves a socket that somebody listens on', async () => {
    const path = join(folder, 'alive.sock');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await removeStaleSocket(path);
    assert.ok(existsSync(path));
    await new Promise((resolve) => server.close(resolve));
  });

  it('does nothing where nothing is', async () => {
    await removeStaleSocket(join(folder, 'nothing.sock'));
  });

  it('leaves what is no socket: a path may be mistyped', async () => {
    const path = join(folder, 'precious.txt');
    writeFileSync(path, 'x');
    await removeStaleSocket(path).catch(() => {});
    assert.ok(existsSync(path));
  });
});
