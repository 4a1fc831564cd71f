import { writeFileSync } from 'node:fs';
import type { FakeIssuer } from '../test/support/issuer.ts';

/** Claims that make a token of a usual size, about 880 bytes. */
const claimsOf = (subject: string) => ({
  sub: subject,
  email: `${subject}@example.com`,
  name: 'Alice Example',
  groups: ['engineering', 'platform', 'on-call'],
  scope: 'mcp:read mcp:write',
  realm_access: { roles: ['developer', 'reviewer'] },
  tenant: 'example-tenant',
});

const LIFETIME_SECONDS = 6 * 60 * 60;
/** Signed at the same time: a few more than there are threads to sign them. */
const AT_ONCE = 64;

/**
 * RS256 tokens, token `n` of `user-n`.
 * @param tell how many are there
 */
export async function makeTokens(
  issuer: FakeIssuer,
  count: number,
  tell: (made: number) => void = () => {},
): Promise<string[]> {
  const exp = Math.floor(Date.now() / 1_000) + LIFETIME_SECONDS;
  const tokens: string[] = [];
  while (tokens.length < count) {
    const first = tokens.length;
    const batch = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, i) =>
      issuer.token({ ...claimsOf(`user-${first + i}`), exp }),
    );
    tokens.push(...(await Promise.all(batch)));
    tell(tokens.length);
  }
  return tokens;
}

/** One per line. */
export function writeTokens(file: string, tokens: readonly string[]): string {
  writeFileSync(file, `${tokens.join('\n')}\n`);
  return file;
}
