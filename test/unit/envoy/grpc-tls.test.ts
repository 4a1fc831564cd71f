import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type SecureClientSessionOptions } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { listenHttp2 } from '../../../src/envoy/grpc-http2.ts';
import type { RunningServer } from '../../../src/envoy/rpc.ts';
import { makeCertificates, pem } from '../../support/certificates.ts';
import { exchange, GRPC_HEADERS, grpcFrame } from '../../support/http2-client.ts';
import { MAX_MESSAGE, PATIENCE, TestMethods } from '../../support/rpc-methods.ts';

/** Who reaches a method over mutual TLS, and what happens when the files change. */
describe('gRPC over mutual TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'emi-tls-'));
  const [old, other, used] = ['old', 'other', 'used'].map((name) => join(folder, name)) as [string, string, string];
  let server: RunningServer;
  const told: string[] = [];
  let onTold = () => {};

  before(async () => {
    for (const at of [old, other]) {
      mkdirSync(at);
      makeCertificates(at);
    }
    cpSync(old, used, { recursive: true });
    const file = (name: string) => join(used, name);
    const tell = (message: string) => {
      told.push(message);
      onTold();
    };
    server = await listenHttp2(
      {
        address: '127.0.0.1:0',
        tls: { cert: file('server.pem'), key: file('server.key'), clientCa: file('ca.pem') },
        maxMessage: MAX_MESSAGE,
      },
      new TestMethods().table,
      { debug() {}, info: tell, warn() {}, error: tell },
      { ...PATIENCE, rereadMs: 20 },
    );
  });
  after(async () => {
    await server?.drain(1_000);
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = async (trusting: string, identity: string | undefined, more: SecureClientSessionOptions = {}) => {
    const client = connect(`https://${server.address}`, {
      ca: pem(join(trusting, 'ca.pem')),
      ...(identity ? { cert: pem(join(identity, 'client.pem')), key: pem(join(identity, 'client.key')) } : {}),
      ...more,
    });
    const broken = new Promise<never>((_resolve, reject) => {
      client.once('error', reject);
      client.once('close', () => reject(new Error('closed')));
    });
    const seen = exchange(client, { ...GRPC_HEADERS, ':path': '/t.T/Echo' }, [grpcFrame('x')]);
    return Promise.race([seen.then((answer) => answer.grpcStatus), broken]).finally(() => client.destroy());
  };
  const hears = async (pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      onTold = () => {
        if (told.some((line) => pattern.test(line))) resolve();
      };
      onTold();
    });

  it('a certificate of the right authority is heard', async () => assert.equal(await ask(old, old), '0'));

  for (const [what, identity, more] of [
    ['no certificate', undefined, {}],
    ['one of another authority', other, {}],
    ['an old version of TLS', old, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL@SECLEVEL=0' }],
  ] as [string, string | undefined, SecureClientSessionOptions][]) {
    it(`${what}: never heard`, async () =>
      assert.equal(await ask(old, identity, more).catch(() => undefined), undefined));
  }

  it('new files are used for new connections; files that do not fit together change nothing', async () => {
    writeFileSync(join(used, 'server.key'), pem(join(other, 'server.key')));
    await hears(/cannot be used/);
    assert.equal(await ask(old, old), '0');
    for (const name of ['server.pem', 'ca.pem']) writeFileSync(join(used, name), pem(join(other, name)));
    await hears(/uses new certificates/);
    assert.equal(await ask(other, other), '0');
    await assert.rejects(ask(other, old));
  });
});
