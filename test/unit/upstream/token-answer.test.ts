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
  [
    'Slack, the user beside the bot',
    JSON.stringify({
      ok: true,
      access_token: 'xoxb-bot',
      token_type: 'bot',
      scope: 'commands',
      expires_in: 43_200,
      refresh_token: 'xoxe-bot',
      authed_user: {
        id: 'U1',
        scope: 'chat:write,search:read',
        access_token: 'xoxe.xoxp-1',
        token_type: 'user',
        expires_in: 43_200,
        refresh_token: 'xoxe-1',
      },
    }),
    JSON_TYPE,
    { at: 'xoxe.xoxp-1', rt: 'xoxe-1', scopes: ['chat:write', 'search:read'], life: 43_200 },
  ],
  [
    'Slack, the user alone, without rotation',
    '{"ok":true,"authed_user":{"id":"U1","scope":"chat:write","access_token":"xoxp-1","token_type":"user"}}',
    JSON_TYPE,
    { at: 'xoxp-1', rt: undefined, scopes: ['chat:write'], life: undefined },
  ],
  [
    'Slack, refreshed',
    '{"ok":true,"access_token":"xoxe.xoxp-2","token_type":"user","refresh_token":"xoxe-2","expires_in":43200}',
    JSON_TYPE,
    { at: 'xoxe.xoxp-2', rt: 'xoxe-2', scopes: undefined, life: 43_200 },
  ],
  [
    'Slack, oauth.v2.user.access',
    '{"ok":true,"access_token":"xoxp-3","token_type":"Bearer","scope":"chat:write"}',
    JSON_TYPE,
    { at: 'xoxp-3', rt: undefined, scopes: ['chat:write'], life: undefined },
  ],
  [
    'Atlassian: no token_type',
    '{"access_token":"a","refresh_token":"r","expires_in":3600,"scope":"read:jira-work offline_access"}',
    JSON_TYPE,
    { at: 'a', rt: 'r', scopes: ['read:jira-work', 'offline_access'], life: 3_600 },
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
    ['Slack', '{"ok":false,"error":"invalid_refresh_token"}', JSON_TYPE, 200, 'invalid_grant'],
    ['Slack, a code', '{"ok":false,"error":"code_already_used"}', JSON_TYPE, 200, 'invalid_grant'],
    ['Slack, our secret', '{"ok":false,"error":"bad_client_secret"}', JSON_TYPE, 200, 'invalid_client'],
    ['Slack, trouble of its own', '{"ok":false,"error":"internal_error"}', JSON_TYPE, 200, 'server_error'],
    [
      'Atlassian',
      '{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}',
      JSON_TYPE,
      403,
      'invalid_grant',
    ],
    [
      'Atlassian, in other words',
      '{"error":"unauthorized_client","error_description":"refresh_token is invalid"}',
      JSON_TYPE,
      403,
      'invalid_grant',
    ],
    [
      'the same word about our client',
      '{"error":"unauthorized_client","error_description":"Grant type not allowed"}',
      JSON_TYPE,
      403,
      'unauthorized_client',
    ],
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

  test('refused: a token of the app’s bot, which is not the user’s', async () => {
    const bot = { access_token: 'xoxb', token_type: 'bot' };
    await assert.rejects(read(JSON.stringify({ ok: true, ...bot, authed_user: { id: 'U1' } })));
    await assert.rejects(read(JSON.stringify({ ok: true, authed_user: bot })));
    await assert.rejects(read('{"access_token":"a","token_type":"user"}'), 'a type that only Slack has');
  });

  test('refused: tokens bound to a key, and tokens that nobody can send', async () => {
    assert.equal(await read('{"access_token":"a","token_type":"DPoP"}'), undefined);
    await assert.rejects(read('{"access_token":"a","token_type":"mac"}'));
    assert.equal(await read(JSON.stringify({ access_token: 'a'.repeat(40_000) })), undefined);
  });
});
