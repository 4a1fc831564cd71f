import type { Config } from '../config/schema.ts';
import { createSealer, decodeKey, type SealKey, type Sealer } from '../core/seal.ts';
import type { Secret } from '../core/secret.ts';
import { cookieSealKeys } from '../upstream/connect-keys.ts';

/** The sealers of one configuration. */
export interface Sealers {
  /** Undefined without `session.keys`. */
  readonly session: Sealer | undefined;
  /** For what ext_authz hands to ext_proc. */
  readonly plan: Sealer;
  /** The same without what the configuration before has sealed. */
  readonly ownPlan: Sealer;
  readonly ticket: Sealer;
  readonly dpopNonce: Sealer;
  /** For cookies and states of the connect pages. */
  readonly cookieKeys: readonly SealKey[];
}

/**
 * @param ownKeys for what no key is configured for
 * @param before sealers of the configuration before: a request that they were used for may be under way
 */
export function createSealers(config: Config, ownKeys: readonly SealKey[], before: Sealers | undefined): Sealers {
  const [session, vault] = [sealKeys(config.session.keys), sealKeys(config.vault.keys)];
  const firstOf = (...lists: (readonly SealKey[])[]) => lists.find((keys) => keys.length > 0) ?? ownKeys;
  const plan = createSealer(firstOf(session, vault), 'plan');
  return {
    session: session.length > 0 ? createSealer(session, 'session') : undefined,
    plan: before ? withFormer(plan, before.ownPlan) : plan,
    ownPlan: plan,
    ticket: createSealer(firstOf(vault), 'ticket'),
    dpopNonce: createSealer(firstOf(vault, session), 'dpop-nonce'),
    cookieKeys: firstOf(cookieSealKeys(config.connect.cookieKeys), vault),
  };
}

/** How long what was sealed before a change is opened after it: a request passes both filters within this time. */
const FORMER_MS = 30_000;

/** Seals with `sealer`; for a while opens what `former` has sealed too. */
function withFormer(sealer: Sealer, former: Sealer): Sealer {
  const untilMs = performance.now() + FORMER_MS;
  return {
    seal: (plaintext, associated) => sealer.seal(plaintext, associated),
    open(text, associated) {
      const opened = sealer.open(text, associated);
      return opened.ok || performance.now() > untilMs ? opened : former.open(text, associated);
    },
  };
}

/** Keys as the loader has checked them: 32 bytes each. */
function sealKeys(keys: readonly { readonly id: string; readonly key: Secret }[]): SealKey[] {
  return keys.map(({ id, key }) => ({ id, key: decodeKey(key.reveal()) as Buffer }));
}
