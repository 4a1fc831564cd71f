import type { FakeIssuer } from '../test/support/issuer.ts';

/** What the issuer's tokens are for; the method in the config file accepts it on all routes. */
export const AUDIENCE = 'soak';
const LIFETIME_SECONDS = 300;
/** Renewed when less is left. */
const MARGIN_MS = 60_000;
/** Services look for new keys this late at most; an issuer that publishes a key waits before it signs with it. */
const PUBLISHED_MS = 35_000;
const AT_ONCE = 64;
const BAD_OF_EACH_KIND = 20;

interface Held {
  readonly token: string;
  readonly untilMs: number;
}

export const nameOf = (user: number) => `user-${user}`;

/** Everybody who calls, with tokens of five minutes that they renew as clients do. */
export class People {
  readonly #issuer: FakeIssuer;
  readonly #stranger: FakeIssuer;
  readonly #held: Held[] = [];
  readonly #bad: string[] = [];
  #signsAgainMs = 0;

  constructor(issuer: FakeIssuer, stranger: FakeIssuer) {
    this.#issuer = issuer;
    this.#stranger = stranger;
  }

  /** Signs everybody in, and makes tokens that must never get anybody through. */
  async signIn(count: number): Promise<void> {
    // Not all are to be renewed at the same time.
    const seconds = (user: number) => LIFETIME_SECONDS * (0.5 + (0.5 * user) / count);
    await inBatches(
      Array.from({ length: count }, (_, user) => user),
      (user) => this.#renew(user, seconds(user)),
    );
    for (let user = 0; user < BAD_OF_EACH_KIND; user++) {
      const claims = { sub: nameOf(user), aud: AUDIENCE };
      const longAgo = Math.floor(Date.now() / 1_000) - 3_600;
      this.#bad.push(
        await this.#issuer.token({ ...claims, iat: longAgo - 300, exp: longAgo }, { alg: 'ES256' }),
        await this.#issuer.forged(claims, { alg: 'ES256' }),
        await this.#issuer.token({ ...claims, aud: 'another server' }, { alg: 'ES256' }),
        await this.#issuer.token({ ...claims, cnf: { jkt: 'of-somebody' } }, { alg: 'ES256' }),
        await this.#stranger.token(claims, { alg: 'ES256' }),
        await this.#stranger.token({ ...claims, iss: this.#issuer.issuer }, { alg: 'ES256' }),
        this.#issuer.unsecured(claims),
        await this.#issuer.confused(claims),
        `opaque-${user}`,
      );
    }
  }

  async token(user: number): Promise<string> {
    const held = this.#held[user];
    const now = Date.now();
    if (held && (held.untilMs - now > MARGIN_MS || now < this.#signsAgainMs)) return held.token;
    return this.#renew(user);
  }

  async #renew(user: number, seconds = LIFETIME_SECONDS): Promise<string> {
    const iat = Math.floor(Date.now() / 1_000);
    const sub = nameOf(user);
    const exp = iat + Math.floor(seconds);
    const claims = { sub, email: `${sub}@example.com`, aud: AUDIENCE, iat, exp };
    const token = await this.#issuer.token(claims, { alg: 'ES256' });
    this.#held[user] = { token, untilMs: exp * 1_000 };
    return token;
  }

  /** Tokens that are expired, forged, foreign, for somebody else, bound to a key, unsigned, or none. */
  badTokens(): readonly string[] {
    return this.#bad;
  }

  /** Good but for a key that the issuer never had. */
  withUnknownKey(user: number, kid: string): Promise<string> {
    return this.#issuer.token({ sub: nameOf(user), aud: AUDIENCE }, { alg: 'ES256', kid });
  }

  /** The issuer publishes new keys now, and signs with them a while later. */
  async newKeys(): Promise<void> {
    const endsMeanwhile = this.#held.flatMap(({ untilMs }, user) =>
      untilMs - Date.now() < MARGIN_MS + PUBLISHED_MS ? [user] : [],
    );
    await inBatches(endsMeanwhile, (user) => this.#renew(user));
    this.#signsAgainMs = Date.now() + PUBLISHED_MS;
    await this.#issuer.rotate({ keepOld: true });
  }
}

async function inBatches(users: readonly number[], work: (user: number) => Promise<unknown>): Promise<void> {
  for (let first = 0; first < users.length; first += AT_ONCE)
    await Promise.all(users.slice(first, first + AT_ONCE).map(work));
}
