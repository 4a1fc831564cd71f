import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import { decodeCheckRequest } from '../../src/envoy/codec/check-request.ts';
import { type BareEnvoy, PASS, startBareEnvoy } from '../support/bare-envoy.ts';
import { rpc } from '../support/http.ts';

/** What src/http/connect-visit.ts and src/authn/trusted-peers.ts rely on. */
describe('facts about Envoy: who the client is', () => {
  let envoy: BareEnvoy | undefined;
  let peer = '';
  const start = async (manager: Record<string, unknown>) => {
    envoy = await startBareEnvoy({ manager, routes: [{ prefix: '/mcp', policy: { backend: 'b' } }] });
    envoy.check = (_request, bytes) => {
      peer = decodeCheckRequest(bytes, 'mcp.identity').peerAddress;
      return PASS;
    };
    return envoy;
  };
  /** What the backend is told of who called. */
  const told = async ({ origin, backend }: BareEnvoy, headers: readonly string[] = []) => {
    await rpc(`${origin}/mcp`, '{}', headers);
    const { headers: seen } = backend.last();
    return { external: seen['x-envoy-external-address'], internal: seen['x-envoy-internal'], peer };
  };
  const FORGED = ['x-forwarded-for', '198.51.100.6, 203.0.113.9', 'x-envoy-external-address', '203.0.113.7'];
  afterEach(async () => {
    await envoy?.stop();
    envoy = undefined;
  });
  after(() => envoy?.stop());

  it('use_remote_address: who has connected, whatever the client says', async () => {
    const running = await start({});
    assert.deepEqual(await told(running), { external: '127.0.0.1', internal: undefined, peer: '127.0.0.1' });
    assert.deepEqual(await told(running, FORGED), { external: '127.0.0.1', internal: undefined, peer: '127.0.0.1' });
  });

  it('xff_num_trusted_hops: whom the load balancer names; Check is told of the balancer still', async () => {
    const running = await start({ xff_num_trusted_hops: 1 });
    assert.deepEqual(await told(running, FORGED), { external: '203.0.113.9', internal: undefined, peer: '127.0.0.1' });
  });

  it('internal addresses: what an internal client says passes, and is marked', async () => {
    const running = await start({
      internal_address_config: { cidr_ranges: [{ address_prefix: '127.0.0.0', prefix_len: 8 }] },
    });
    assert.deepEqual(await told(running, FORGED.slice(2)), {
      external: '203.0.113.7',
      internal: 'true',
      peer: '127.0.0.1',
    });
    assert.equal(running.backend.last().headers['x-forwarded-for']?.includes('203.0.113.7'), false);
  });
});
