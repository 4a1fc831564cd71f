import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { ANONYMOUS, type User } from '../../../src/core/identity.ts';
import { Secret } from '../../../src/core/secret.ts';
import { createEgress } from '../../../src/net/egress.ts';
import { AwsSts, createAwsSts } from '../../../src/strategies/aws-sts.ts';
import { regionalEndpoint } from '../../../src/strategies/aws-sts-endpoint.ts';
import { outgoingAuthSchema, type OutgoingAuthOf } from '../../../src/strategies/schema.ts';
import type { OutgoingStrategy, StrategyOutcome } from '../../../src/strategies/strategy.ts';
import type { Refresher } from '../../../src/upstream/refresher.ts';
import { startSts, stsAnswer, type StsServer, type StsTrouble } from '../../support/sts-server.ts';
import { bounded, type TestTools, testTools } from '../authn/support.ts';
import { fakeRefresher, jwtWith, reasonOf, userWith } from './world.ts';

const arn = (name: string) => `arn:aws:iam::123456789012:role/${name}`;

describe('aws_sts', () => {
  let sts: StsServer;
  let tools: TestTools;
  let aws: AwsSts;
  before(async () => {
    sts = await startSts();
  });
  after(() => sts.stop());
  beforeEach(() => {
    sts.assumed.length = 0;
    sts.calls = 0;
    sts.trouble = undefined;
    sts.lifetimeSeconds = undefined;
    tools = testTools(Date.now());
    aws = new AwsSts(sts.url, tools, createEgress({ log: tools.log, metrics: tools.metrics, timeoutMs: 500 }));
  });

  const strategy = (block: Record<string, unknown> = {}, refresher?: Refresher): OutgoingStrategy =>
    createAwsSts(policyOf(block), aws, refresher, tools, 'https://idp.example.com');
  const get = async (of: OutgoingStrategy, user: User): Promise<StrategyOutcome> => of.credential(user, bounded());
  const keyIdOf = (outcome: StrategyOutcome): string => {
    assert.ok(outcome.kind === 'write', JSON.stringify(outcome));
    return outcome.signing?.credentials.accessKeyId ?? '';
  };

  it('assumes the role of the user with the token of the user', async () => {
    const block = {
      roleMappings: [{ claim: 'groups', value: 'admins', roleArn: arn('admin') }],
      sessionDuration: '30m',
      sessionNameClaim: 'email',
    };
    const user = userWith('alice', { claims: { groups: ['admins'], email: 'alice@example.com' } });
    const outcome = await get(strategy(block), user);
    const [assumed] = sts.assumed;
    assert.deepEqual(
      [assumed?.roleArn, assumed?.sessionName, assumed?.durationSeconds, assumed?.token],
      [arn('admin'), 'alice@example.com', 1_800, 'token-of-alice'],
    );
    assert.ok(outcome.kind === 'write');
    assert.deepEqual(outcome.headers, [[':authority', 'api.example.com']]);
    assert.deepEqual(
      [outcome.signing?.host, outcome.signing?.region, outcome.signing?.service],
      ['api.example.com', 'eu-central-1', 'execute-api'],
    );
    assert.equal(outcome.signing?.credentials.secretAccessKey.reveal(), assumed?.secretAccessKey);
    assert.equal(outcome.signing?.credentials.sessionToken.reveal(), assumed?.sessionToken);
  });

  it('nobody without a role, and nobody without a token', async () => {
    const block = {
      fallbackRoleArn: undefined,
      roleMappings: [{ claim: 'groups', value: 'admins', roleArn: arn('admin') }],
    };
    assert.equal(reasonOf(await get(strategy(block), userWith('alice'))), 'role_not_mapped');
    assert.equal(
      reasonOf(await get(strategy({ ...block, fallbackRoleArn: undefined }), userWith('bot', { token: null }))),
      'login_required',
    );
    assert.equal(reasonOf(await strategy().credential(ANONYMOUS, bounded())), 'login_required');
    assert.equal(sts.calls, 0);
  });

  describe('credentials are kept', () => {
    it('100 calls of one user at once make one call, and later ones none', async () => {
      const route = strategy();
      const outcomes = await Promise.all(Array.from({ length: 100 }, () => get(route, userWith('alice'))));
      assert.equal(new Set(outcomes.map(keyIdOf)).size, 1);
      const renewed = userWith('alice', { token: 'renewed', claims: { exp: 1, iat: 2, jti: 'x' } });
      const outcome = route.credential(renewed, bounded());
      assert.ok(!(outcome instanceof Promise), 'a renewed token goes on with them');
      assert.equal(sts.calls, 1);
    });

    const tags = { 'https://aws.amazon.com/tags': { principal_tags: { team: ['a'] } } };
    const otherwise: [string, Record<string, unknown>, User][] = [
      ['another user', {}, userWith('bob', { token: 'token-of-alice' })],
      ['another issuer', {}, { ...userWith('alice'), issuer: 'https://other.example.com' }],
      ['another method', {}, { ...userWith('alice'), methodName: 'partner' }],
      ['another role', { fallbackRoleArn: arn('other') }, userWith('alice')],
      ['another session name', { sessionNameClaim: 'email' }, userWith('alice', { claims: { email: 'a@b.c' } })],
      ['another duration', { sessionDuration: '20m' }, userWith('alice')],
      ['another region', { region: 'us-east-1' }, userWith('alice')],
      ['session tags', {}, userWith('alice', { claims: tags })],
      ['one tag', {}, userWith('alice', { claims: { 'https://aws.amazon.com/tags/principal_tags/team': 'a' } })],
      ['another audience of the token', {}, userWith('alice', { claims: { aud: 'other' } })],
      ['another client of the token', {}, userWith('alice', { claims: { azp: 'other' } })],
      ['an actor', {}, userWith('alice', { claims: { act: { sub: 'agent' } } })],
    ];
    for (const [what, block, user] of otherwise) {
      it(`${what} never shares them`, async () => {
        const first = keyIdOf(await get(strategy(), userWith('alice')));
        assert.notEqual(keyIdOf(await get(strategy(block), user)), first);
        assert.equal(keyIdOf(await get(strategy(), userWith('alice'))), first, 'and the first ones stay');
      });
    }

    it('users with the same session name never share them', async () => {
      const route = strategy({ sessionNameClaim: 'team' });
      const first = await get(route, userWith('alice', { claims: { team: 'blue' } }));
      const second = await get(route, userWith('bob', { claims: { team: 'blue' } }));
      assert.notEqual(keyIdOf(first), keyIdOf(second));
    });

    it('another host or service of the same role does share them', async () => {
      const first = keyIdOf(await get(strategy(), userWith('alice')));
      assert.equal(
        keyIdOf(await get(strategy({ host: 'other.example.com', service: 'lambda' }), userWith('alice'))),
        first,
      );
    });

    it('until five minutes, or a fifth of a short life, before their end', async () => {
      for (const [lifetimeSeconds, usedSeconds] of [
        [3_600, 3_300],
        [900, 720],
      ] as const) {
        tools.time.nowMs = Date.now();
        sts.lifetimeSeconds = lifetimeSeconds;
        sts.calls = 0;
        const route = strategy({ region: `r-${lifetimeSeconds}` });
        await get(route, userWith('alice'));
        tools.time.nowMs += (usedSeconds - 3) * 1_000;
        await get(route, userWith('alice'));
        assert.equal(sts.calls, 1);
        tools.time.nowMs += 6_000;
        await get(route, userWith('alice'));
        assert.equal(sts.calls, 2);
      }
    });

    it('a 401 of the backend drops those it was given, and no newer ones', async () => {
      const route = strategy();
      const first = await get(route, userWith('alice'));
      assert.ok(first.kind === 'write');
      const refused: unknown = JSON.parse(JSON.stringify(first.credential?.invalidate));
      aws.invalidate({ strategy: 'token_exchange' });
      aws.invalidate(refused);
      const second = keyIdOf(await get(route, userWith('alice')));
      assert.notEqual(second, keyIdOf(first));
      aws.invalidate(refused);
      assert.equal(keyIdOf(await get(route, userWith('alice'))), second);
    });
  });

  describe('errors', () => {
    const cases: [string, StsTrouble, string, boolean][] = [
      ['ExpiredTokenException', { status: 400, code: 'ExpiredTokenException' }, 'subject_token_refused', true],
      ['IDPRejectedClaim', { status: 403, code: 'IDPRejectedClaim' }, 'subject_token_refused', true],
      ['AccessDenied', { status: 403, code: 'AccessDenied' }, 'aws_refused', true],
      ['InvalidIdentityToken', { status: 400, code: 'InvalidIdentityToken' }, 'aws_refused', true],
      ['ValidationError', { status: 400, code: 'ValidationError' }, 'aws_refused', true],
      ['PackedPolicyTooLarge', { status: 400, code: 'PackedPolicyTooLarge' }, 'aws_refused', true],
      ['RegionDisabledException', { status: 403, code: 'RegionDisabledException' }, 'aws_refused', true],
      ['a code nobody knows', { status: 400, code: 'Whatever' }, 'aws_refused', true],
      ['IDPCommunicationError', { status: 400, code: 'IDPCommunicationError' }, 'aws_unavailable', false],
      ['Throttling', { status: 400, code: 'Throttling' }, 'aws_unavailable', false],
      ['503', { status: 503, code: 'ServiceUnavailable' }, 'aws_unavailable', false],
      ['429', { status: 429, body: '' }, 'aws_unavailable', false],
      ['a hang-up', 'hang-up', 'aws_unavailable', false],
      ['no answer', 'hang', 'aws_unavailable', false],
      ['no XML', { status: 200, body: '{}' }, 'aws_answer_invalid', false],
      ['an error that is none', { status: 400, body: '<html></html>' }, 'aws_answer_invalid', false],
      ['an error with status 200', { status: 200, code: 'AccessDenied' }, 'aws_answer_invalid', false],
    ];
    for (const [what, trouble, reason, remembered] of cases) {
      it(`${what}: ${reason}, ${remembered ? 'remembered for 5 s' : 'asked again at once'}`, async () => {
        sts.trouble = trouble;
        const route = strategy();
        const user = userWith('alice', { claims: { iat: 1_000_000_000 } });
        assert.equal(reasonOf(await get(route, user)), reason);
        assert.equal(reasonOf(await get(route, user)), reason);
        assert.equal(sts.calls, remembered ? 1 : 2);
        sts.trouble = undefined;
        if (remembered) await get(route, { ...user, token: new Secret('renewed') });
        if (remembered) assert.equal(sts.assumed.length, 1, 'a renewed token is tried at once');
        tools.time.nowMs += 5_000;
        keyIdOf(await get(route, user));
      });
    }

    const good = {
      roleArn: arn('r'),
      sessionName: 's',
      accessKeyId: 'ASIA0123456789ABCDEF',
      secretAccessKey: 's3cret',
      sessionToken: 't0ken',
    };
    for (const [what, body] of [
      ['no key id', stsAnswer({ ...good, accessKeyId: '' }, Date.now())],
      [
        'a key id that would end the Credential',
        stsAnswer({ ...good, accessKeyId: 'ASIA0123456789AB/CD' }, Date.now()),
      ],
      ['no secret', stsAnswer({ ...good, secretAccessKey: '' }, Date.now())],
      ['a session token with a line break', stsAnswer({ ...good, sessionToken: 'a\nb' }, Date.now())],
      ['no session token', stsAnswer({ ...good, sessionToken: '' }, Date.now())],
      [
        'a date of another form',
        stsAnswer(good, Date.now()).replace(/<Expiration>.*</, '<Expiration>1 Jan 2040 00:00<'),
      ],
      ['two sets of credentials', stsAnswer(good, Date.now()).replace(/<Credentials>[^]*<\/Credentials>/, '$&$&')],
    ] as const) {
      it(`an answer with ${what} is none`, async () => {
        sts.trouble = { status: 200, body };
        assert.equal(reasonOf(await get(strategy(), userWith('alice'))), 'aws_answer_invalid');
      });
    }

    it('a token that was issued a moment ago is not asked for again: 403', async () => {
      sts.trouble = { status: 400, code: 'ExpiredTokenException' };
      const iat = Math.floor(tools.time.nowMs / 1_000) - 30;
      assert.equal(reasonOf(await get(strategy(), userWith('alice', { claims: { iat } }))), 'aws_refused');
    });

    it('nothing of a token or an answer is logged or told', async () => {
      sts.trouble = { status: 200, body: stsAnswer({ ...good, accessKeyId: '' }, 0) };
      const outcome = await get(strategy(), userWith('alice'));
      assert.doesNotMatch(JSON.stringify([tools.lines, outcome]), /token-of|s3cret|t0ken/);
      sts.trouble = undefined;
      assert.doesNotMatch(
        JSON.stringify(await get(strategy(), userWith('bob'))),
        new RegExp(sts.assumed[0]?.secretAccessKey ?? 'x'),
      );
    });
  });

  describe('with the token of an account', () => {
    const token = jwtWith({ sub: 'a', aud: 'one' });
    const answer = { kind: 'token', accessToken: new Secret(token), generation: 1 } as const;
    const block = { subjectProviderName: 'github' };

    it('uses it, for methods without a token, too; roles are those of the caller', async () => {
      const mappings = { ...block, roleMappings: [{ claim: 'dept', value: 'hr', roleArn: arn('hr') }] };
      await get(
        strategy(
          mappings,
          fakeRefresher(() => answer),
        ),
        userWith('bot', { token: null, claims: { dept: 'hr' } }),
      );
      assert.deepEqual(
        [sts.assumed[0]?.token, sts.assumed[0]?.roleArn, sts.assumed[0]?.sessionName],
        [token, arn('hr'), 'bot'],
      );
    });

    it('its own claims tell credentials apart', async () => {
      let claims = { sub: 'a', aud: 'one', iat: 1 };
      const route = strategy(
        block,
        fakeRefresher(() => ({ ...answer, accessToken: new Secret(jwtWith(claims)) })),
      );
      await get(route, userWith('alice'));
      claims = { ...claims, iat: 2 };
      await get(route, userWith('alice'));
      assert.equal(sts.calls, 1);
      claims = { ...claims, aud: 'two' };
      await get(route, userWith('alice'));
      assert.equal(sts.calls, 2);
    });

    it('no account: nothing is forwarded, because nothing unsigned would be let in', async () => {
      const outcome = await get(
        strategy(
          block,
          fakeRefresher(() => ({ kind: 'unconnected', why: 'never' })),
        ),
        userWith('alice'),
      );
      assert.deepEqual(outcome, { kind: 'unconnected', provider: 'github', onMissing: 'auto', unconnected: 'deny' });
    });

    it('an expired one is refreshed before the next call', async () => {
      sts.trouble = { status: 400, code: 'ExpiredTokenException' };
      const refresher = fakeRefresher(() => answer);
      assert.equal(reasonOf(await get(strategy(block, refresher), userWith('alice'))), 'upstream_unavailable');
      assert.equal(refresher.stale.length, 1);
    });
  });

  it('regional endpoints, by partition; an override must be one that may be called', () => {
    assert.equal(regionalEndpoint('eu-central-1'), 'https://sts.eu-central-1.amazonaws.com/');
    assert.equal(regionalEndpoint('us-gov-west-1'), 'https://sts.us-gov-west-1.amazonaws.com/');
    assert.equal(regionalEndpoint('cn-north-1'), 'https://sts.cn-north-1.amazonaws.com.cn/');
    assert.equal(regionalEndpoint('eusc-de-east-1'), 'https://sts.eusc-de-east-1.amazonaws.eu/');
    assert.throws(
      () => new AwsSts('http://sts.example.com', tools, createEgress(tools)),
      /endpoint of AWS STS must be https/,
    );
  });
});

function policyOf(block: Record<string, unknown>): OutgoingAuthOf<'aws_sts'> {
  const awsSts = {
    region: 'eu-central-1',
    service: 'execute-api',
    host: 'API.example.com',
    fallbackRoleArn: arn('fallback'),
    ...block,
  };
  return outgoingAuthSchema.parse({ type: 'aws_sts', awsSts }) as OutgoingAuthOf<'aws_sts'>;
}
