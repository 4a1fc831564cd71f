import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import {
  OperationProcessingError,
  processGenericTokenEndpointResponse,
  ResponseBodyError,
  UnsupportedOperationError,
} from 'oauth4webapi';
import { IntrospectionEndpoint } from '../../src/authn/introspection-endpoint.ts';
import { judgeIntrospection } from '../../src/authn/introspected-token.ts';
import { isRefusal } from '../../src/authn/jwt-rules.ts';
import { KeySet } from '../../src/authn/key-set.ts';
import { introspectionSchema } from '../../src/authn/schema.ts';
import { discover } from '../../src/net/discovery.ts';
import { StsEndpoint } from '../../src/strategies/aws-sts-endpoint.ts';
import { readXml, type XmlElement } from '../../src/strategies/aws-xml.ts';
import { judgeAnswer } from '../../src/strategies/exchange-answer.ts';
import { Secret } from '../../src/core/secret.ts';
import { normalTokenAnswer, tokenAnswerOf } from '../../src/upstream/token-answer.ts';
import { testTools } from '../unit/authn/support.ts';
import { answering } from './answering.ts';
import { target } from './target.ts';
import { altered, anyText, near } from './texts.ts';

const never = new AbortController().signal;
const ISSUER = 'https://idp.example.com';
const NOW_MS = Date.UTC(2026, 0, 1);
const tools = testTools(NOW_MS);

const status = fc.oneof(
  { weight: 6, arbitrary: fc.constant(200) },
  fc.constantFrom(201, 204, 302, 400, 401, 403, 429, 500, 503),
);
const type = fc.constantFrom('application/json', 'application/json; charset=utf-8', 'text/html', 'text/xml', '');
const spare = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    Infinity,
    '3600',
    ' 60 ',
    'Bearer',
    'N_A',
    [],
    ['a', 1],
    ISSUER,
    'http://127.0.0.1/',
  ),
  fc.jsonValue({ maxDepth: 2 }),
);

const JUDGEMENTS = [OperationProcessingError, ResponseBodyError, UnsupportedOperationError];

/** An answer over HTTP whose body is nearly what it should be. */
function answer(body: object, samples: readonly string[] = []) {
  const json = altered(body, spare).map((value) => JSON.stringify(value) ?? '');
  return fc.record({
    status,
    type,
    text: fc.oneof({ weight: 4, arbitrary: json }, near([JSON.stringify(body), ...samples])),
  });
}
type Answer = ReturnType<typeof answer> extends fc.Arbitrary<infer T> ? T : never;
const response = ({ status: code, type: kind, text }: Answer): Response =>
  new Response(code === 204 ? null : text, { status: code, headers: kind === '' ? {} : { 'content-type': kind } });

const GRANT = { access_token: 'at', token_type: 'Bearer', expires_in: 3600, refresh_token: 'rt', scope: 'a b' };
const ACTIVE = {
  active: true,
  iss: ISSUER,
  sub: 'alice',
  exp: NOW_MS / 1_000 + 60,
  token_type: 'Bearer',
  scope: 'a',
  aud: 'x',
};
const METADATA = {
  issuer: ISSUER,
  jwks_uri: `${ISSUER}/jwks`,
  token_endpoint: `${ISSUER}/token`,
  introspection_endpoint: `${ISSUER}/introspect`,
};
const JWKS = {
  keys: [
    {
      kty: 'EC',
      crv: 'P-256',
      kid: 'e',
      x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
      y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
    },
    { kty: 'oct', k: 'AAAA', kid: 'o' },
    { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
  ],
};
const EXCHANGED = { ...GRANT, issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' };
const RULES = {
  issuer: ISSUER,
  subjectClaim: 'sub',
  scopeClaims: ['scope'],
  attributeClaims: {
    email: 'email',
    full_name: 'name',
    groups: 'groups',
    roles: 'roles',
    teams: 'teams',
    is_admin: 'is_admin',
    service_account: 'service_account',
  },
  dpop: 'off' as const,
};
const CREDENTIALS = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>a/b&amp;c</SecretAccessKey><SessionToken>AQoD&#65;</SessionToken><Expiration>2026-01-01T01:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;
const DENIED = `<?xml version="1.0"?>\n<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>`;

const introspection = (answered: Answer) =>
  new IntrospectionEndpoint(
    'opaque',
    introspectionSchema.parse({
      type: 'introspection',
      issuer: ISSUER,
      introspectionEndpoint: `${ISSUER}/i`,
      clientId: 'c',
      clientAuth: 'none',
    }),
    answering(() => response(answered)),
  );

const tree: fc.Arbitrary<XmlElement> = fc.letrec<{ tree: XmlElement }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.record({
      name: fc.constantFrom('Code', 'a', 'B-c.d'),
      text: fc.string({ unit: 'grapheme' }),
      children: fc.constant([]),
    }),
    fc.record({
      name: fc.constantFrom('Error', 'x'),
      text: fc.constant(''),
      children: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }),
    }),
  ),
})).tree;

function written({ name, text, children }: XmlElement): string {
  const escaped = text.replaceAll(/[<>&"'\r]/g, (letter) => `&#${letter.charCodeAt(0)};`);
  return `<${name} a="1">${escaped}${children.map(written).join(' ')}</${name}>`;
}

/** What identity providers, other OAuth servers and AWS answer: another party, and whoever stands between. */
export const OAUTH_TARGETS = [
  target(
    'token-answer',
    'never throws but what oauth4webapi throws; a token comes out only where one was sent; lifetimes are times',
    answer(GRANT, ['access_token=at&token_type=bearer&scope=a%2Cb', 'error=bad_refresh_token']),
    async (answered) => {
      const normal = await normalTokenAnswer(response(answered), ['a']);
      let read;
      try {
        read = await processGenericTokenEndpointResponse({ issuer: ISSUER }, { client_id: 'c' }, normal);
      } catch (error) {
        assert.ok(
          JUDGEMENTS.some((kind) => error instanceof kind),
          String(error),
        );
        return;
      }
      const token = tokenAnswerOf(read);
      if (!token) return;
      assert.ok(answered.status >= 200 && answered.status < 300);
      const sent = answered.text.trimStart().startsWith('{')
        ? (JSON.parse(answered.text) as Record<string, unknown>)
        : Object.fromEntries(new URLSearchParams(answered.text));
      assert.equal(token.accessToken.reveal(), sent['access_token']);
      assert.ok(
        token.expiresInSeconds === undefined ||
          (token.expiresInSeconds > 0 && token.expiresInSeconds <= 10 * 365 * 86_400),
      );
      assert.ok(token.scopes?.every((scope) => scope !== '') ?? true);
    },
  ),
  target(
    'introspection-answer',
    'a user comes only of an answer that says active: true, for our issuer, and in time',
    answer(ACTIVE),
    async (answered) => {
      let read;
      try {
        read = await introspection(answered).ask('token', never);
      } catch (error) {
        assert.ok(error instanceof Error);
        return;
      }
      const user = judgeIntrospection(read, RULES, { methodName: 'opaque', token: 'token', nowMs: NOW_MS });
      if (isRefusal(user)) return;
      const sent = JSON.parse(answered.text) as Record<string, unknown>;
      assert.equal(answered.status, 200);
      assert.equal(sent['active'], true);
      assert.equal(user.subject, sent['sub']);
      assert.ok(sent['iss'] === undefined || sent['iss'] === ISSUER);
      assert.ok(sent['exp'] === undefined || (sent['exp'] as number) * 1_000 > NOW_MS);
      assert.equal(sent['cnf'], undefined);
    },
  ),
  target(
    'discovery',
    'a document is the issuer’s own, and of an https issuer names no http address',
    answer(METADATA),
    async (answered) => {
      let read;
      try {
        read = await discover(ISSUER, async () => response(answered), never);
      } catch (error) {
        assert.ok(error instanceof Error);
        return;
      }
      assert.equal(read.issuer, ISSUER);
      assert.ok(!Object.values(read).some((value) => typeof value === 'string' && value.startsWith('http:')));
    },
  ),
  target('jwks', 'keys come out for public ones that fit only; never throws', answer(JWKS), async (answered) => {
    const keys = new KeySet(
      { method: 'm', issuer: ISSUER, jwksUri: `${ISSUER}/jwks` },
      tools,
      answering(() => response(answered)),
    );
    for (const alg of ['ES256', 'EdDSA', 'RS256', 'HS256']) {
      const found = await keys.resolve(alg, undefined, never);
      if (found.kind === 'keys') for (const key of found.keys) assert.equal(key.type, 'public');
    }
  }),
  target(
    'exchange-answer',
    'a token passes only as what was asked for, in characters that fit a header',
    altered(EXCHANGED, spare),
    async (value) => {
      let read;
      try {
        read = await processGenericTokenEndpointResponse({ issuer: ISSUER }, { client_id: 'c' }, Response.json(value));
      } catch (error) {
        assert.ok(error instanceof Error);
        return;
      }
      const asked = { subjectToken: 's', audience: 'hr', resource: [], requestedTokenType: undefined, actor: false };
      if (judgeAnswer(read, asked, NOW_MS, NOW_MS) !== undefined) return;
      assert.match(read.access_token, /^[\w\-.~+/]+=*$/);
      assert.notEqual(read.access_token, 's');
    },
  ),
  target(
    'sts-xml',
    'what is written is read; any other text is read or refused, without a throw',
    fc.oneof(tree, near([CREDENTIALS, DENIED])),
    (input) => {
      if (typeof input === 'string') {
        readXml(input);
        return;
      }
      const plain = ({ name, text, children }: XmlElement): XmlElement => ({
        name,
        text: children.length > 0 ? '' : text,
        children: children.map(plain),
      });
      // XML has no form for control characters; they come back as they went or not at all.
      const read = readXml(written(input));
      if (read !== undefined) assert.deepEqual(read, plain(input));
      else assert.fail(written(input));
    },
  ),
  target(
    'sts-answer',
    'credentials come only of a 200 that holds all of them, fit for headers',
    fc.record({ status, type, text: near([CREDENTIALS, DENIED]) }),
    async (answered) => {
      const endpoint = new StsEndpoint(
        undefined,
        tools,
        answering(() => response(answered)),
      );
      const role = {
        region: 'eu-central-1',
        roleArn: 'r',
        sessionName: 's',
        durationSeconds: 900,
        token: new Secret('t'),
      };
      const outcome = await endpoint.assume(role, never);
      if (outcome.kind !== 'assumed') return;
      assert.equal(answered.status, 200);
      assert.match(outcome.credentials.accessKeyId, /^\w+$/);
      assert.match(outcome.credentials.sessionToken.reveal(), /^[\x21-\x7e]+$/);
      assert.ok(Number.isFinite(outcome.expiresAtMs));
    },
  ),
  target(
    'retry-after',
    'any header of a failed answer makes a sane wait',
    fc.tuple(anyText, fc.constantFrom(429, 503)),
    async ([text, code]) => {
      if (!/^[\t\x20-\x7e]*$/.test(text)) return;
      const endpoint = new StsEndpoint(
        undefined,
        tools,
        answering(() => new Response('', { status: code, headers: { 'retry-after': text } })),
      );
      const role = { region: 'r', roleArn: 'r', sessionName: 's', durationSeconds: 900, token: new Secret('t') };
      const outcome = await endpoint.assume(role, never);
      assert.equal(outcome.kind, 'unavailable');
      const wait = outcome.kind === 'unavailable' ? outcome.retryAfterSeconds : undefined;
      assert.ok(wait === undefined || (Number.isFinite(wait) && wait >= 0), String(wait));
    },
  ),
];
