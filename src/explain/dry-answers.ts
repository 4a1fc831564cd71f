const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

/** Stands for every credential that was not asked for. */
export const PLACEHOLDER = 'not-a-credential';
const HOUR_MS = 3_600_000;

/** What an RFC 8693 endpoint says when it does exactly what was asked. @param body the form of the request */
export function exchangeAnswer(body: string): Response {
  const asked = new URLSearchParams(body);
  const aud = [...asked.getAll('audience'), ...asked.getAll('resource')];
  const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = `${base64url({ alg: 'none' })}.${base64url({ aud, act: { sub: PLACEHOLDER } })}.${PLACEHOLDER}`;
  const issued = asked.get('requested_token_type') ?? ACCESS_TOKEN;
  return Response.json({ access_token: token, token_type: 'Bearer', issued_token_type: issued, expires_in: 3_600 });
}

/** What STS says when the role may be assumed. */
export function assumedRole(nowMs: number): Response {
  const fields = {
    AccessKeyId: 'NOTACREDENTIAL00',
    SecretAccessKey: PLACEHOLDER,
    SessionToken: PLACEHOLDER,
    Expiration: new Date(nowMs + HOUR_MS).toISOString(),
  };
  const credentials = Object.entries(fields).map(([name, text]) => `<${name}>${text}</${name}>`);
  const result = `<AssumeRoleWithWebIdentityResult><Credentials>${credentials.join('')}</Credentials></AssumeRoleWithWebIdentityResult>`;
  return new Response(`<AssumeRoleWithWebIdentityResponse>${result}</AssumeRoleWithWebIdentityResponse>`);
}
