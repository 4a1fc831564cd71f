import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { processRefreshTokenResponse } from 'oauth4webapi';
import { normalTokenAnswer, tokenAnswerOf } from '../../../src/upstream/token-answer.ts';

const JSON_TYPE = 'application/json';
const FORM = 'application/x-www-form-urlencoded';

/** What a body comes to in the end: through the normaliser, oauth4webapi, and our own reading. */
async function read(body: string, { type = JSON_TYPE, status = 200, requested = ['repo'], headers = {} } = {}) {
  const response = new Response(body, { status, headers: { 'content-type': type, ...headers } });
  const normal = await normalTokenAnswer(response, requested);
  const answer = tokenAnswerOf(
    await processRefreshTokenResponse({ issuer: 'https://idp.example.com' }, { client_id: 'c' }, normal),
  );
  if (!answer) return undefined;
  const { accessToken, refreshToken, scopes, expiresInSeconds } = answer;
  return { at: accessToken.reveal(), rt: refreshToken?.reveal(), scopes, life: expiresInSeconds };
}

const answers: readonly (readonly [string, string, string, object])[] = [
  [
    'as RFC 6749 5.1 has it',
    '{"access_token":"a","token_type":"Bearer","expires_in":60,"refresh_token":"r","scope":"x y"}',
    JSON_TYPE,
    { at: 'a', rt: 'r', scopes: ['x', 'y'], life: 60 },
  ],
  [
    'GitHub, classic',
    'access_token=gho_1&scope=repo%2Cgist&token_type=bearer',
    FORM,
    { at: 'gho_1', rt: undefined, scopes: ['repo', 'gist'], life: undefined },
  ],
  [
    'form-encoded with refresh token and end',
    'access_token=a&expires_in=60&refresh_token=r',
    'text/plain',
    { at: 'a', rt: 'r', scopes: undefined, life: 60 },
  ],
  [
    'JSON as text',
    '{"access_token":"a","token_type":"bearer"}',
    'text/html',
    { at: 'a', rt: undefined, scopes: undefined, life: undefined },
  ],
  ['no token_type', '{"access_token":"a"}', JSON_TYPE, { at: 'a', rt: undefined, scopes: undefined, life: undefined }],
  [
    'BEARER',
    '{"access_token":"a","token_type":"BEARER"}',
    JSON_TYPE,
    { at: 'a', rt: undefined, scopes: undefined, life: undefined },
  ],
  [
    'expires_in as text',
    '{"access_token":"a","expires_in":"28800"}',
    JSON_TYPE,
    { at: 'a', rt: undefined, scopes: undefined, life: 28_800 },
  ],
  [
    'nulls for nothing',
    '{"access_token":"a","token_type":null,"expires_in":null,"refresh_token":null,"scope":null}',
    JSON_TYPE,
    { at: 'a', rt: undefined, scopes: undefined, life: undefined },
  ],
  [
    'empty refresh token and scope',
    '{"access_token":"a","refresh_token":"","scope":""}',
    JSON_TYPE,
    { at: 'a', rt: undefined, scopes: [], life: undefined },
  ],
  [
    'scopes as a list',
    '{"access_token":"a","scope":["x","y"]}',
    JSON_TYPE,
    { at: 'a', rt: undefined, scopes: ['x', 'y'], life: undefined },
  ],
  [
    'an error that is empty',
    '{"access_token":"a","error":""}',
    JSON_TYPE,
    { at: 'a', rt: undefined, scopes: undefined, life: undefined },
  ],
];

describe('answers of token endpoints', () => {
  for (const [name, body, type, expected] of answers) {
    test(name, async () => assert.deepEqual(await read(body, { type }), expected));
  }

  for (const end of ['0', '-1', '"0"', '"soon"', 'true', '[]']) {
    test(`expires_in ${end} is no time: unknown`, async () => {
      assert.equal((await read(`{"access_token":"a","expires_in":${end}}`))?.life, undefined);
    });
  }

  test('"for good" stays a date', async () => {
    assert.equal((await read('{"access_token":"a","expires_in":1e999}'))?.life, 315_360_000);
  });

  test('a comma may be part of a scope (RFC 6749 3.3)', async () => {
    const scopes = (await read('{"access_token":"a","scope":"calendar,full"}', { requested: ['calendar,full'] }))
      ?.scopes;
    assert.deepEqual(scopes, ['calendar,full']);
  });

  test('201 is as good as 200', async () => {
    assert.equal((await read('{"access_token":"a"}', { status: 201 }))?.at, 'a');
  });

  for (const [name, body, type, status, error] of [
    ['GitHub: an error with 200', 'error=bad_refresh_token&error_description=x', FORM, 200, 'invalid_grant'],
    ['GitHub: as JSON', '{"error":"incorrect_client_credentials"}', JSON_TYPE, 200, 'invalid_client'],
    ['a proper error', '{"error":"invalid_grant"}', JSON_TYPE, 400, 'invalid_grant'],
    ['403', '{"error":"access_denied"}', JSON_TYPE, 403, 'access_denied'],
  ] as const) {
    test(`${name}: ${error}`, async () => {
      await assert.rejects(read(body, { type, status }), { name: 'ResponseBodyError', error });
    });
  }

  for (const [name, body] of [
    ['no token', '{}'],
    ['an empty token', '{"access_token":""}'],
    ['a token that is no text', '{"access_token":7}'],
    ['a list', '["access_token"]'],
    ['a page', '<html>access_token</html>'],
    ['nothing', ''],
    ['a token beside a status that says no', '{"access_token":"a"}'],
  ] as const) {
    test(`refused: ${name}`, async () => {
      const status = name.includes('status') ? 400 : 200;
      await assert.rejects(read(body, { status }));
    });
  }

  test('refused: tokens bound to a key, and tokens that nobody can send', async () => {
    assert.equal(await read('{"access_token":"a","token_type":"DPoP"}'), undefined);
    await assert.rejects(read('{"access_token":"a","token_type":"mac"}'));
    assert.equal(await read(JSON.stringify({ access_token: 'a'.repeat(40_000) })), undefined);
  });
});
