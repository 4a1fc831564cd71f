import { createHash } from 'node:crypto';
import type { Counter, Tools } from '../core/ports.ts';
import { refuse } from '../core/refusal.ts';
import { assertCredentialHeader, readCredentialHeader } from './credential-header.ts';
import { createKeyedDigest } from './keyed-digest.ts';
import { ABSENT, type IncomingMethod, type Outcome } from './method.ts';
import type { IncomingMethodConfig } from './schema.ts';
import { tokenlessUser } from './tokenless-user.ts';

export type ApiKeyConfig = Extract<IncomingMethodConfig, { type: 'api_key' }>;

interface KnownKey {
  readonly outcome: Outcome;
  /** From then on it is refused; milliseconds since the epoch. */
  readonly untilMs: number;
  readonly uses: Counter;
}

const REPEATED: Outcome = { kind: 'rejected', refusal: refuse('authorization_repeated') };
const MALFORMED: Outcome = { kind: 'rejected', refusal: refuse('authorization_malformed') };
const WRONG: Outcome = { kind: 'rejected', refusal: refuse('credential_wrong') };
const EXPIRED: Outcome = { kind: 'rejected', refusal: refuse('credential_expired') };

/**
 * Keys that programs present in a header of their own. The config file holds their SHA-256 only; several may belong to
 * one subject, so that a new one can be handed out before the old one goes. `expires` is the first moment a key is no
 * longer good; a date without time means 00:00 UTC.
 *
 * Constant time by construction: nothing is compared with what was presented. Its SHA-256 goes through an HMAC under a
 * key that is drawn at start, and the result is looked up. What a look-up's duration could tell is about the HMAC of an
 * unknown key, and the work is the same for every key, right or wrong, and for any number of keys.
 * @throws when two keys are the same, an id is used twice, or the header cannot carry a credential
 */
export function createApiKey(name: string, config: ApiKeyConfig, tools: Tools): IncomingMethod {
  const { clock, log, metrics } = tools;
  const { header } = config;
  assertCredentialHeader(header, `incomingAuth.${name}.header`);
  const digest = createKeyedDigest();
  const nameOf = (sha256: Buffer) => digest(sha256).toString('base64');

  const method = { name, authMethod: 'api_key' as const, attributeClaims: config.attributeClaims };
  const known = new Map<string, KnownKey>();
  const ids = new Set<string>();
  for (const [index, { id, sha256, subject, claims, expires }] of config.keys.entries()) {
    const place = `incomingAuth.${name}.keys[${index}]`;
    const keyName = nameOf(Buffer.from(sha256, 'hex'));
    if (ids.has(id)) throw new Error(`${place}: the id ${id} is used twice`);
    // One key for two subjects would be whoever stands first.
    if (known.has(keyName)) throw new Error(`${place}: the key ${id} is the same as another one`);
    const untilMs = expires === undefined ? Infinity : Date.parse(expires);
    const user = tokenlessUser(subject, claims, method, expires === undefined ? undefined : untilMs / 1_000);
    if (!user) throw new Error(`${place}.subject: is too long`);
    if (untilMs <= clock.nowMs()) log.warn('an API key has expired', { method: name, key: id });
    ids.add(id);
    known.set(keyName, {
      outcome: { kind: 'identified', user },
      untilMs,
      uses: metrics.counter('mcp_identity_api_key_uses_total', 'Calls by API key', { method: name, key: id }),
    });
  }

  return {
    name,
    type: 'api_key',
    issuer: undefined,
    scheme: undefined,
    credentialHeaders: [header],
    audience: undefined,

    authenticate({ headers }) {
      const value = readCredentialHeader(headers, header);
      if (value === undefined) return ABSENT;
      if (typeof value !== 'string') return { kind: 'rejected', refusal: value };
      if (value === '') return MALFORMED;
      // RFC 9110 5.3: anyone on the way may have joined two copies with a comma. So a key cannot hold one.
      if (value.includes(',')) return REPEATED;
      const key = known.get(nameOf(createHash('sha256').update(value, 'latin1').digest()));
      if (!key) return WRONG;
      if (clock.nowMs() >= key.untilMs) return EXPIRED;
      key.uses.inc();
      return key.outcome;
    },
  };
}
