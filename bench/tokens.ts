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
 * Writes RS256 tokens into a file, one per line, each of another user.
 * @param tell how many are there
 */
export async function writeTokens(
  file: string,
  issuer: FakeIssuer,
  count: number,
  tell: (made: number) => void = () => {},
): Promise<void> {
  const exp = Math.floor(Date.now() / 1_000) + LIFETIME_SECONDS;
  const lines: string[] = [];
  while (lines.length < count) {
    const first = lines.length;
    const batch = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, i) =>
      issuer.token({ ...claimsOf(`user-${first + i}`), exp }),
    );
    lines.push(...(await Promise.all(batch)));
    tell(lines.length);
  }
  writeFileSync(file, `${lines.join('\n')}\n`);
}
