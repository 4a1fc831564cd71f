import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { type Certificates, makeCertificates, pem } from '../support/certificates.ts';
import { rpc, toolCall } from '../support/http.ts';
import { Load } from '../support/reconfigure.ts';
import { type Stack, startStack } from '../support/stack.ts';

/** Envoy calls by mutual TLS and opens a connection every five calls, so that handshakes never cease. */
describe('the certificates of the gRPC listener rotate under load', () => {
  let folder: string;
  let old: Certificates;
  let young: Certificates;
  let stack: Stack;
  const at = (name: string) => join(folder, name);

  /** As a mounted Secret changes: all files at once, by turning a link. */
  const publish = (name: string, { server }: Certificates, clientCa: string): void => {
    mkdirSync(at(name));
    for (const [file, text] of Object.entries({
      'tls.crt': readFileSync(server.cert),
      'tls.key': readFileSync(server.key),
      'ca.crt': clientCa,
    }))
      writeFileSync(join(at(name), file), text);
    symlinkSync(name, at('live.new'));
    renameSync(at('live.new'), at('live'));
  };
  const issue = (name: string): Certificates => {
    mkdirSync(at(name));
    return makeCertificates(at(name));
  };
  const text = (file: string) => readFileSync(file, 'utf8');

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'emi-tls-'));
    [old, young] = [issue('old'), issue('young')];
    const both = text(old.ca) + text(young.ca);
    writeFileSync(at('both.pem'), both);
    publish('v1', old, both);
    stack = await startStack({
      grpcTls: { ca: at('both.pem'), cert: young.client.cert, key: young.client.key },
      server: { grpcTls: { cert: at('live/tls.crt'), key: at('live/tls.key'), clientCa: at('live/ca.crt') } },
      config: { incomingAuth: { guest: { type: 'anonymous' } } },
      routes: () => [
        {
          prefix: '/mcp',
          policy: { backend: 'b', incomingAuth: ['guest'], outgoingAuth: { type: 'unauthenticated' } },
        },
      ],
    });
  });
  after(async () => {
    await stack?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The certificate that the server shows, or that this client is not heard. */
  const handshake = ({ client }: Certificates): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({
        host: '127.0.0.1',
        port: stack.grpcPorts[0]!,
        ALPNProtocols: ['h2'],
        ca: pem(at('both.pem')),
        cert: pem(client.cert),
        key: pem(client.key),
      });
      const refused = () => resolve('refused');
      // The first frame of the server comes when it has accepted the client (TLS 1.3 tells no earlier).
      socket.once('data', () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
      socket.once('error', refused).once('close', refused);
    });
  const fingerprint = ({ server }: Certificates): string => new X509Certificate(pem(server.cert)).fingerprint256;

  it('new connections get the new certificate, whose client is not ours any more is not heard, and no call fails', async () => {
    const load = new Load(4, async () => {
      const answer = await rpc(`${stack.origin}/mcp`, toolCall('x'));
      return answer.status === 200 ? undefined : `${answer.status} ${answer.body}`;
    });
    await load.more(100);
    assert.equal(await handshake(old), fingerprint(old));
    publish('v2', young, text(young.ca));
    const expected = fingerprint(young);
    while ((await handshake(young)) !== expected) await load.more(20);
    await load.more(100);
    await load.stop();
    assert.equal(await handshake(old), 'refused');
    assert.deepEqual(load.failures, []);
    assert.ok(load.calls > 200, `${load.calls} calls`);
  });
});
