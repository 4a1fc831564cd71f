import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type ChannelCredentials, Client, credentials } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { makeCertificates, pem } from '../support/certificates.ts';
import { Child } from '../support/child.ts';
import { freePorts } from '../support/ports.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const PROTO = fileURLToPath(new URL('../../proto', import.meta.url));

describe('serve', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'emi-serve-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const start = (config: object): Child => {
    const file = join(folder, 'sidecar.yaml');
    writeFileSync(file, JSON.stringify(config));
    return new Child('service', process.execPath, [MAIN, 'serve', '--config', file]);
  };
  const health = (target: string, channel: ChannelCredentials): Promise<string> => {
    const method = loadSync('grpc/health/v1/health.proto', { includeDirs: [PROTO], enums: String })[
      'grpc.health.v1.Health'
    ] as any;
    const client = new Client(target, channel);
    return new Promise<string>((resolve, reject) => {
      client.makeUnaryRequest(
        method.Check.path,
        method.Check.requestSerialize,
        method.Check.responseDeserialize,
        { service: '' },
        { deadline: Date.now() + 5_000 },
        (error, response) => (error ? reject(error) : resolve((response as { status: string }).status)),
      );
    }).finally(() => client.close());
  };

  it('a wrong configuration: every problem with place and mend on stderr, exit 1', async () => {
    const child = start({
      publicUrl: 'ftp://x',
      incomingAuth: { corp: { type: 'jwt', isuer: 'https://idp' } },
      server: { grpc: '0.0.0.0:9191' },
    });
    assert.equal(await child.exited, 1);
    assert.match(child.stderr, /publicUrl/);
    assert.match(child.stderr, /isuer/);
    assert.match(child.stderr, /did you mean/i);
  });

  it('a gRPC listener that a network can reach without mutual TLS is refused (V-30)', async () => {
    const child = start({ publicUrl: 'https://mcp.example.com', server: { grpc: '0.0.0.0:0' } });
    assert.equal(await child.exited, 1);
    assert.match(child.stderr, /V-30/);
  });

  it('unix sockets: mode 0660, a stale one is replaced, a used one is not', async () => {
    const socket = (name: string) => `unix:${join(folder, name)}`;
    const config = {
      publicUrl: 'https://mcp.example.com',
      server: { grpc: socket('grpc.sock'), http: socket('http.sock'), admin: socket('admin.sock') },
    };
    const first = start(config);
    await first.until(() => first.stderr.includes('"serving"'));
    assert.equal(statSync(join(folder, 'grpc.sock')).mode & 0o777, 0o660);
    assert.equal(await health(socket('grpc.sock'), credentials.createInsecure()), 'SERVING');
    const ready = await new Promise<number>((resolve, reject) => {
      request({ socketPath: join(folder, 'admin.sock'), path: '/readyz' }, (response) =>
        resolve(response.resume().statusCode ?? 0),
      )
        .on('error', reject)
        .end();
    });
    assert.equal(ready, 200);

    const second = start(config);
    assert.equal(await second.exited, 1);
    assert.match(second.stderr, /could not start/);
    assert.equal(await health(socket('grpc.sock'), credentials.createInsecure()), 'SERVING');

    await first.stop('SIGKILL');
    const third = start(config);
    await third.until(() => third.stderr.includes('"serving"'));
    assert.equal(await third.stop('SIGTERM'), 0);
  });

  it('mutual TLS: who has no certificate of ours is not heard', async () => {
    const certificates = makeCertificates(folder);
    const [port, http, admin] = (await freePorts(3)) as [number, number, number];
    const child = start({
      publicUrl: 'https://mcp.example.com',
      server: {
        grpc: `0.0.0.0:${port}`,
        grpcTls: { cert: certificates.server.cert, key: certificates.server.key, clientCa: certificates.ca },
        http: `127.0.0.1:${http}`,
        admin: `127.0.0.1:${admin}`,
      },
    });
    await child.until(() => child.stderr.includes('"serving"'));
    const target = `127.0.0.1:${port}`;
    assert.equal(
      await health(
        target,
        credentials.createSsl(pem(certificates.ca), pem(certificates.client.key), pem(certificates.client.cert)),
      ),
      'SERVING',
    );
    await assert.rejects(health(target, credentials.createSsl(pem(certificates.ca))));
    await assert.rejects(health(target, credentials.createInsecure()));
    assert.equal(await child.stop('SIGTERM'), 0);
  });

  it('--help, --version and unknown commands', async () => {
    for (const [args, code, text] of [
      [['--help'], 0, /serve/],
      [['serve', '--help'], 0, /--config/],
      [['--version'], 0, /^\d+\.\d+\.\d+/],
      [['serve'], 2, /--config is missing/],
      [['sevre'], 2, /unknown command/],
    ] as const) {
      const child = new Child('cli', process.execPath, [MAIN, ...args]);
      assert.equal(await child.exited, code, args.join(' '));
      assert.match(child.stdout + child.stderr, text);
    }
  });
});
