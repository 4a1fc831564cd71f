import assert from 'node:assert/strict';
import { startExchangeServer } from '../support/exchange-server.ts';
import { rpc, toolCall } from '../support/http.ts';
import type { Recipe } from '../support/recipe.ts';
import { startSts } from '../support/sts-server.ts';

/** Recipes that need more servers than issuers and a backend: those, and what the comments promise. */
export interface Surroundings {
  /** Puts the servers of the test into a file of the recipe. */
  readonly edit: (text: string) => string;
  readonly env: NodeJS.ProcessEnv;
  readonly requests: (recipe: Recipe) => Promise<void>;
  readonly stop: () => Promise<void>;
}

export const SURROUNDINGS: Record<string, () => Promise<Surroundings>> = {
  async 'token-exchange'() {
    const server = await startExchangeServer();
    return {
      edit: (text) => text.replaceAll('https://idp.example.com', server.issuer),
      env: { EXCHANGE_SECRET: 'gateway-s3cret' },
      stop: () => server.stop(),
      async requests({ origin, backend }) {
        const call = async (path: string, subject: string) => {
          const auth = `Bearer ${await server.userToken(subject, origin + path)}`;
          const answer = await rpc(origin + path, toolCall('x'), ['Authorization', auth]);
          const seen = backend.last().headers['authorization'] ?? '';
          assert.notEqual(seen, auth);
          return { answer, claims: await server.claims(seen.slice('Bearer '.length)) };
        };
        const hr = await call('/hr/mcp', 'alice');
        assert.equal(hr.answer.status, 200, hr.answer.body);
        assert.deepEqual([hr.claims.sub, hr.claims.aud, hr.claims['act']], ['alice', 'hr', undefined]);
        const payroll = await call('/payroll/mcp', 'bob');
        assert.deepEqual(
          [payroll.claims.sub, payroll.claims.aud, payroll.claims['act']],
          ['bob', 'pay', { sub: 'gateway' }],
        );
        const before = server.exchanges.length;
        backend.respond = (_seen, response) => void response.writeHead(401).end();
        const auth = ['Authorization', `Bearer ${await server.userToken('carol', `${origin}/hr/mcp`)}`];
        assert.equal((await rpc(`${origin}/hr/mcp`, toolCall('x'), auth)).status, 502);
        backend.respond = (_seen, response) => void response.end('{}');
        assert.equal((await rpc(`${origin}/hr/mcp`, toolCall('x'), auth)).status, 200);
        assert.equal(server.exchanges.length, before + 2, 'a new token after a 401');
      },
    };
  },

  async aws() {
    const sts = await startSts();
    return {
      edit: (text) =>
        text
          // The backend of the test stands in for AWS: a local one, without TLS.
          .replace(/address: abc123\S+, port_value: 443/, 'address: 127.0.0.1, port_value: 9401')
          .replace(/ {6}transport_socket:\n(?: {8}.*\n)+/, ''),
      env: { AWS_ENDPOINT_URL_STS: sts.url },
      stop: () => sts.stop(),
      async requests({ origin, backend, issuer }) {
        const url = `${origin}/prod/mcp`;
        const call = async (sub: string, groups: string[]) =>
          rpc(`${url}/x?a=1`, toolCall('x'), [
            'Authorization',
            `Bearer ${await issuer.token({ aud: url, sub, groups })}`,
          ]);
        const answer = await call('alice', ['staff', 'admins']);
        assert.equal(answer.status, 200, answer.body);
        const { headers, url: path } = backend.last();
        assert.equal(path, '/prod/mcp/x?a=1');
        assert.equal(headers['host'], 'abc123.execute-api.eu-central-1.amazonaws.com');
        assert.match(headers['authorization'] ?? '', /^AWS4-HMAC-SHA256 .*\/eu-central-1\/execute-api\/aws4_request/);
        assert.equal((await call('bob', ['staff'])).status, 200);
        assert.deepEqual(
          sts.assumed.map(({ roleArn, sessionName }) => [roleArn.replace(/.*\//, ''), sessionName.includes('alice')]),
          [
            ['mcp-admin', true],
            ['mcp-staff', false],
          ],
        );
        const before = backend.seen.length;
        assert.equal((await call('carol', ['visitors'])).status, 403);
        assert.equal(backend.seen.length, before);
      },
    };
  },
};
