import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { Secret } from '../../../src/core/secret.ts';
import { readTarget, Sha256, signingPlan, signRequest } from '../../../src/strategies/aws-signature.ts';

describe('the target of a signed request', () => {
  const cases: [string, string, string][] = [
    ['stays as it is where all agree', '/mcp/a-b_c.d~e?a=1&b=%20x', '/mcp/a-b_c.d~e?a=1&b=%20x'],
    ['encoded slashes and dots of a path stay', '/a%2Fb/%2e%2e/c', '/a%2Fb/%2e%2e/c'],
    ['so do other characters of a path', "/a:b@c/(d)!$&'*+,;=", "/a:b@c/(d)!$&'*+,;="],
    ['keys that are there twice, and their order', '/?b=2&a=1&b=1', '/?b=2&a=1&b=1'],
    ['keys without a value', '/?a&b=', '/?a&b='],
    ['no query', '/?', '/'],
    ['a + is a space', '/?q=a+b', '/?q=a%20b'],
    ['lower-case hex', '/?q=%c3%a4', '/?q=%C3%A4'],
    ['what needs no encoding', '/?q=%41', '/?q=A'],
    ['what AWS encodes', "/?q=a/b:c@d!'()*,;", '/?q=a%2Fb%3Ac%40d%21%27%28%29%2A%2C%3B'],
    ['a second question mark and equals sign', '/?q=a?b=c', '/?q=a%3Fb%3Dc'],
    ['empty pieces', '/?&&a=1&', '/?a=1'],
    ['bytes that are UTF-8', Buffer.from('/ä?ö=ü').toString('latin1'), '/%C3%A4?%C3%B6=%C3%BC'],
  ];
  for (const [what, path, wire] of cases) it(what, () => assert.equal(readTarget(path)?.wire, wire));

  for (const [what, path] of [
    ['dot segments', '/mcp/../admin'],
    ['a dot segment at the end', '/mcp/..'],
    ['a single dot', '/./mcp'],
    ['bytes that are no UTF-8', '/\xff'],
    ['such bytes, encoded in a query', '/?a=%ff'],
    ['half an escape', '/?a=%4'],
    ['a query that signs by itself', '/?X-Amz-Signature=00'],
    ['the same, in disguise', '/?x-am%7A-credential=AKID'],
    ['no path', '*'],
    ['an empty one', ''],
  ] as const) {
    it(`there is none for ${what}`, () => assert.equal(readTarget(path), undefined));
  }

  it('there is none for more parameters than can be signed in good time', () => {
    const of = (count: number) => readTarget(`/mcp?${Array.from({ length: count }, (_, i) => `p${i}=1`).join('&')}`);
    assert.equal(Object.keys(of(256)?.query ?? {}).length, 256);
    assert.equal(of(257), undefined);
    assert.equal(readTarget(`/mcp?${'a=1&'.repeat(257)}`), undefined, 'of one name');
  });

  it('is read as URLs read it, and reading it again changes nothing', () => {
    const piece = fc.stringMatching(/^[a-z%+ä&=/?.~]{0,12}$/);
    fc.assert(
      fc.property(piece, (text) => {
        const target = readTarget(Buffer.from(`/x?${text}`).toString('latin1'));
        if (!target) return;
        assert.match(target.wire, /^[\x21-\x7e]+$/);
        assert.deepEqual(readTarget(target.wire), target);
        const asForm = (query: string) => [...new URL(`https://h/?${query}`).searchParams];
        assert.deepEqual(asForm(target.wire.split('?')[1] ?? ''), asForm(text));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('the signature', () => {
  const plan = signingPlan({
    host: 'abc.execute-api.eu-central-1.amazonaws.com',
    region: 'eu-central-1',
    service: 'execute-api',
    credentials: {
      accessKeyId: 'ASIAEXAMPLE',
      secretAccessKey: new Secret('s3cret'),
      sessionToken: new Secret('t0ken'),
    },
  });
  const target = readTarget('/mcp?a=1');
  const request = { method: 'POST', target: target as NonNullable<typeof target>, contentType: 'application/json' };
  const nowMs = Date.UTC(2026, 1, 3, 4, 5, 6);
  const sign = async (changes: object = {}, body = Buffer.from('{}')) =>
    Object.fromEntries(await signRequest(plan, { ...request, ...changes }, body, nowMs)) as Record<string, string>;

  it('signs host, content-type and its own headers, nothing that others may change', async () => {
    const headers = await sign();
    assert.equal(headers['x-amz-date'], '20260203T040506Z');
    assert.equal(headers['x-amz-security-token'], 't0ken');
    assert.equal(headers['x-amz-content-sha256'], createHash('sha256').update('{}').digest('hex'));
    assert.match(
      headers['authorization'] as string,
      /^AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE\/20260203\/eu-central-1\/execute-api\/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=[0-9a-f]{64}$/,
    );
  });

  it('changes with everything it covers', async () => {
    const changes: object[] = [
      {},
      { method: 'GET' },
      { target: readTarget('/mcp?a=2') },
      { target: readTarget('/mcp2?a=1') },
      { contentType: 'text/plain' },
      { contentType: undefined },
    ];
    const signatures = await Promise.all([...changes.map((change) => sign(change)), sign({}, Buffer.from('{ }'))]);
    assert.equal(new Set(signatures.map((headers) => headers['authorization'])).size, signatures.length);
  });

  it('leaves out a content-type that nobody could agree about', async () => {
    const headers = await sign({ contentType: 'application/j\xe4son' });
    assert.match(headers['authorization'] as string, /SignedHeaders=host;x-amz-/);
  });
});

/** The suite that AWS publishes, as far as its requests can be sent by a proxy. */
describe('the SigV4 test suite of AWS', () => {
  const file = new URL('aws4-testsuite.json', import.meta.url);
  const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as {
    vectors: { name: string; request: string; authorization: string }[];
  };
  /** Paths that `readTarget` refuses or encodes first, and requests with a header twice or over several lines. */
  const left =
    /^(normalize-path\/get-(relative|relative-relative|slash-dot-slash|slash-pointless-dot|space)|get-utf8|get-header-.*|get-vanilla-with-session-token|post-sts-token.*)$/;
  for (const { name, request, authorization } of vectors.filter((vector) => !left.test(vector.name))) {
    it(name, async () => {
      const [head = '', body = ''] = request.split('\n\n');
      const [line = '', ...fields] = head.split('\n').filter((one) => one !== '');
      const [, method = '', path = ''] = /^(\S+) (\S+) HTTP\/1.1$/.exec(line) ?? [];
      const pairs = fields.map((field) => [
        field.slice(0, field.indexOf(':')).toLowerCase(),
        field.slice(field.indexOf(':') + 1),
      ]);
      const headers = Object.fromEntries(pairs) as Record<string, string>;
      const target = readTarget(Buffer.from(path).toString('latin1'));
      assert.ok(target);
      const { 'x-amz-security-token': sessionToken } = headers;
      const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
      const signer = new SignatureV4({
        credentials: {
          accessKeyId: 'AKIDEXAMPLE',
          secretAccessKey,
          ...(sessionToken === undefined ? {} : { sessionToken }),
        },
        region: 'us-east-1',
        service: 'service',
        sha256: Sha256,
        applyChecksum: false,
      });
      const hostname = headers['host'] as string;
      const signed = await signer.sign(
        { method, protocol: 'https:', hostname, path: target.path, query: { ...target.query }, headers, body },
        { signingDate: new Date('2015-08-30T12:36:00Z') },
      );
      assert.equal(signed.headers['authorization'], authorization);
    });
  }
});
