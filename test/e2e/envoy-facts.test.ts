import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, describe, it } from 'node:test';
import { decodeCheckRequest } from '../../src/envoy/codec/check-request.ts';
import { encodeDenied } from '../../src/envoy/codec/check-response.ts';
import { decodeStruct } from '../../src/envoy/codec/struct.ts';
import { EncodeError } from '../../src/envoy/codec/wire.ts';
import { type BareEnvoy, continues, PASS, startBareEnvoy } from '../support/bare-envoy.ts';
import { rpc } from '../support/http.ts';

/** `value` for ext_authz, `raw_value` for ext_proc: see below. */
const overwrite = (key: string, value: { value?: string; raw_value?: Buffer }) => ({
  header: { key, ...value },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
});
const allowWith = (ok_response: object) => () => ({ ...PASS, ok_response });
const denyWith = (...headers: object[]) => ({
  status: { code: 7 },
  denied_response: { status: { code: 403 }, headers, body: 'no' },
});
const INJECTION = 'a\r\nset-cookie: evil=1';
const PER_ROUTE_BODY = {
  'envoy.filters.http.ext_authz': {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
    check_settings: { with_request_body: { max_request_bytes: 1_000, pack_as_bytes: true } },
  },
};

/** What this service relies on is how Envoy behaves, and Envoy changes: nothing of ours runs here but its codec. */
describe('facts about Envoy', () => {
  let envoy: BareEnvoy;
  /** Without the settings that the docs ask for at filter level. */
  let careless: BareEnvoy;
  const call = (headers: readonly string[] = [], body: string | Buffer = '{}') =>
    rpc(`${envoy.origin}/mcp`, body, headers);
  const arrived = (name: string): string | undefined => envoy.backend.last().headers[name];
  /** Makes ext_proc change the request as `common` says. */
  const mutate = (kind: 'request_headers' | 'request_body', common: object, more: object = {}) => {
    envoy.process = (message) =>
      message.request === kind ? { [kind]: { response: common }, ...more } : continues(message);
  };

  before(async () => {
    const policy = { backend: 'b', incomingAuth: ['x'], scopes: ['a'], tools: { a: {}, b: {} }, resource: 'r' };
    envoy = await startBareEnvoy({
      extProc: true,
      routes: [{ prefix: '/mcp', policy }],
    });
    careless = await startBareEnvoy({
      bodies: false,
      extAuthz: { validate_mutations: false },
      routes: [{ prefix: '/mcp', policy, perFilter: PER_ROUTE_BODY }],
    });
  });
  after(async () => {
    await envoy?.stop();
    await careless?.stop();
  });
  beforeEach(() => {
    envoy.check = () => PASS;
    envoy.process = continues;
    envoy.backend.seen.length = 0;
  });

  describe('header edits', () => {
    it('ext_authz sets, then removes: a header both set and removed is gone', async () => {
      envoy.check = allowWith({ headers: [overwrite('x-a', { value: 'ours' })], headers_to_remove: ['x-a'] });
      await call(['X-A', 'client']);
      assert.equal(arrived('x-a'), undefined);
    });

    it('ext_proc removes, then sets: it stays', async () => {
      const set_headers = [overwrite('x-a', { raw_value: Buffer.from('ours') })];
      mutate('request_headers', { header_mutation: { set_headers, remove_headers: ['x-a'] } });
      await call(['X-A', 'client']);
      assert.equal(arrived('x-a'), 'ours');
    });

    it('a set of either replaces every copy that the client sent', async () => {
      const copies = ['X-A', 'client', 'x-a', 'client again'];
      envoy.check = allowWith({ headers: [overwrite('x-a', { value: 'ours' })] });
      await call(copies);
      assert.equal(arrived('x-a'), 'ours');
      envoy.check = () => PASS;
      mutate('request_headers', {
        header_mutation: { set_headers: [overwrite('x-a', { raw_value: Buffer.from('ours') })] },
      });
      await call(copies);
      assert.equal(arrived('x-a'), 'ours');
    });

    it('ext_authz reads value and ignores raw_value', async () => {
      const raw_value = Buffer.from('raw');
      envoy.check = allowWith({
        headers: [overwrite('x-raw', { raw_value }), overwrite('x-both', { value: 'value', raw_value })],
      });
      await call();
      assert.equal(arrived('x-raw'), '');
      assert.equal(arrived('x-both'), 'value');
    });

    it('ext_proc reads raw_value and ignores value', async () => {
      mutate('request_headers', {
        header_mutation: {
          set_headers: [
            overwrite('x-value', { value: 'value' }),
            overwrite('x-both', { value: 'value', raw_value: Buffer.from('raw') }),
          ],
        },
      });
      await call();
      assert.equal(arrived('x-value'), '');
      assert.equal(arrived('x-both'), 'raw');
    });

    it('ext_proc keeps :authority and x-envoy-* as they are, and says nothing', async () => {
      const raw_value = Buffer.from('other.example.com');
      mutate('request_headers', {
        header_mutation: {
          set_headers: [overwrite(':authority', { raw_value }), overwrite('x-envoy-a', { raw_value })],
        },
      });
      assert.equal((await call()).status, 200);
      assert.equal(arrived('host'), new URL(envoy.origin).host);
      assert.equal(arrived('x-envoy-a'), undefined);
    });
  });

  describe('denials', () => {
    it('several values of one header all reach the client, in order', async () => {
      envoy.check = () => denyWith(...['A', 'B'].map((value) => overwrite('www-authenticate', { value })));
      const { status, rawHeaders } = await call();
      assert.equal(status, 403);
      assert.deepEqual(
        rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1] === 'www-authenticate'),
        ['A', 'B'],
      );
    });

    it('a denial may be a 200', async () => {
      envoy.check = () => ({ status: { code: 7 }, denied_response: { status: { code: 200 }, body: '{"a":1}' } });
      const answer = await call();
      assert.deepEqual([answer.status, answer.json()], [200, { a: 1 }]);
      assert.equal(envoy.backend.seen.length, 0);
    });

    it('passes ext_proc’s response phase: a stream that begins with response_headers', async () => {
      const kinds: string[] = [];
      envoy.check = () => denyWith();
      envoy.process = (message) => {
        kinds.push(message.request as string);
        return continues(message);
      };
      assert.equal((await call()).status, 403);
      assert.deepEqual(kinds, ['response_headers']);
    });

    it('CR LF in a header: our encoder refuses it, and so does Envoy with validate_mutations', async () => {
      assert.throws(() => encodeDenied({ status: 403, headers: [['x-a', INJECTION]], body: '' }), EncodeError);
      envoy.check = () => denyWith(overwrite('x-a', { value: INJECTION }));
      const answer = await call();
      assert.equal(answer.status, 500);
      assert.equal(answer.headers['set-cookie'], undefined);
    });

    it('CR LF in a header: Envoy writes it to the client without validate_mutations', async () => {
      careless.check = () => denyWith(overwrite('x-a', { value: INJECTION }));
      // Raw, because Node's parser may judge by itself.
      const socket = connect(Number(new URL(careless.origin).port), '127.0.0.1');
      socket.setTimeout(10_000, () => socket.destroy());
      socket.write('GET /mcp HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
      assert.match(await text(socket), /\r\nset-cookie: evil=1\r\n/);
    });
  });

  describe('what Check gets', () => {
    const checked = async (headers: readonly string[] = [], body: string | Buffer = '{}', by = envoy) => {
      const got: Buffer[] = [];
      by.check = (_request, bytes) => {
        got.push(bytes);
        return PASS;
      };
      await rpc(`${by.origin}/mcp`, body, headers);
      assert.equal(got.length, 1);
      return decodeCheckRequest(got[0]!, 'mcp.identity');
    };
    const valuesOf = (flat: readonly string[], name: string) =>
      flat.filter((_, i) => i % 2 === 1 && flat[i - 1] === name);

    it('repeated headers stay apart, but Authorization is joined by a comma', async () => {
      const { headers } = await checked([
        'X-Api-Key',
        'a',
        'X-Api-Key',
        'b',
        'Authorization',
        'Bearer a',
        'Authorization',
        'Bearer b',
      ]);
      assert.deepEqual(valuesOf(headers, 'x-api-key'), ['a', 'b']);
      assert.deepEqual(valuesOf(headers, 'authorization'), ['Bearer a,Bearer b']);
    });

    it('a header named in Connection is gone before, and does not reach the backend', async () => {
      const { headers } = await checked(['Connection', 'keep-alive, X-User-Sub', 'X-User-Sub', 'root']);
      assert.deepEqual(valuesOf(headers, 'x-user-sub'), []);
      assert.equal(arrived('x-user-sub'), undefined);
    });

    it('x_user_sub is a header of its own, which setting x-user-sub leaves alone', async () => {
      const { headers } = await checked(['X_User_Sub', 'root']);
      assert.deepEqual(valuesOf(headers, 'x_user_sub'), ['root']);
      envoy.check = allowWith({ headers: [overwrite('x-user-sub', { value: 'alice' })] });
      await call(['X_User_Sub', 'root']);
      assert.equal(arrived('x-user-sub'), 'alice');
      assert.equal(arrived('x_user_sub'), 'root');
    });

    it('the keys of the route’s metadata come in another order now and then', async () => {
      const orders = new Set<string>();
      const contents = new Set<string>();
      for (let i = 0; i < 500 && orders.size < 2; i++) {
        const policy = decodeStruct((await checked()).routeMetadata!) as Record<string, unknown>;
        orders.add(JSON.stringify(policy));
        contents.add(JSON.stringify(Object.entries(policy).toSorted(([a], [b]) => (a < b ? -1 : 1))[0]));
      }
      assert.ok(orders.size >= 2, 'one order only');
      assert.equal(contents.size, 1);
    });

    it('pack_as_bytes counts at filter level only: a route’s own makes a text, with ! for what is no UTF-8', async () => {
      const body = Buffer.from([0x7b, 0xff, 0x7d]);
      const atFilter = await checked([], body);
      assert.deepEqual([atFilter.rawBody, atFilter.textBody], [body, false]);
      const onRoute = await checked([], body, careless);
      assert.deepEqual([onRoute.rawBody, onRoute.textBody], [undefined, true]);
    });
  });

  describe('bodies in ext_proc', () => {
    const edit = (contentLength: string) => {
      const set_headers = [overwrite('content-length', { raw_value: Buffer.from(contentLength) })];
      const common = { body_mutation: { body: Buffer.from('{"edited":true}') }, header_mutation: { set_headers } };
      envoy.process = (message) => {
        if (message.request === 'request_headers')
          return { request_headers: { response: {} }, mode_override: { request_body_mode: 'BUFFERED' } };
        return message.request === 'request_body' ? { request_body: { response: common } } : continues(message);
      };
    };

    it('mode_override asks for the body of one request', async () => {
      const kinds: string[] = [];
      envoy.process = (message) => {
        kinds.push(message.request as string);
        return continues(message);
      };
      await call();
      assert.deepEqual(kinds, ['request_headers', 'response_headers']);
      edit('15');
      assert.equal((await call()).status, 200);
      assert.equal(envoy.backend.last().body.toString(), '{"edited":true}');
    });

    it('a new length that content-length does not say is a 500', async () => {
      edit('2');
      assert.equal((await call()).status, 500);
      assert.equal(envoy.backend.seen.length, 0);
    });
  });
});
