import { randomBytes } from 'node:crypto';
import type { Clock } from '../core/ports.ts';
import type { Sealer } from '../core/seal.ts';
import type { Browser } from './connect-browser.ts';
import type { Vault } from './vault/vault.ts';

/** Who somebody is: both parts together. */
export interface UserKey {
  readonly issuer: string;
  readonly subject: string;
}

/** What a person is in the middle of at another site. */
export type Flow =
  /** Signs in; with a link, to connect the account it was made for. */
  | { readonly kind: 'sign_in'; readonly link?: { readonly provider: string; readonly ticket: string } }
  /** Is signed in as `user` and gives access to the account at `provider`. */
  | { readonly kind: 'connect'; readonly provider: string; readonly user: UserKey };

export type StateFault =
  | 'state_invalid'
  /** It belongs to the sign-in, or to another provider: the answer came to the wrong callback. */
  | 'state_mixed_up'
  | 'other_browser'
  | 'state_expired'
  | 'state_used';

/** What a flow needs at both ends. Neither `state` nor the cookie alone gives `codeVerifier` and `nonce`. */
export interface Begun {
  readonly state: string;
  readonly codeVerifier: string;
  readonly nonce: string;
}

export type Redeemed<K extends Flow['kind']> =
  | ({ readonly ok: true; readonly flow: Extract<Flow, { kind: K }> } & Begun)
  | { readonly ok: false; readonly fault: StateFault };

/** How long somebody may take at the other site, in milliseconds (contract: at most 5 minutes). */
export const STATE_LIFE_MS = 5 * 60 * 1000;

/** `state` of the flows (RFC 6749 10.12): sealed, bound to the browser that began, good for one callback. */
export interface States {
  begin(flow: Flow, browser: Browser): Begun;
  /**
   * Takes a `state` out of use. One that is not good for this browser and callback stays unused, so that whoever
   * fetches the address elsewhere takes nothing away from the person.
   * @param provider the one whose callback it is; undefined for the sign-in
   * @throws VaultError when it cannot be told whether it was used
   */
  redeem<K extends Flow['kind']>(
    kind: K,
    provider: K extends 'connect' ? string : undefined,
    state: string,
    browser: Browser | undefined,
    signal: AbortSignal,
  ): Promise<Redeemed<K>>;
}

interface Payload {
  readonly id: string;
  readonly until: number;
  readonly browser: string;
  readonly flow: Flow;
}

/** @param sealer for the purpose `connect-state`, with keys that all replicas share */
export function createStates(sealer: Sealer, vault: Pick<Vault, 'once'>, clock: Clock): States {
  const begun = (state: string, id: string, browser: Browser): Begun => ({
    state,
    codeVerifier: browser.derive('verifier', id),
    nonce: browser.derive('nonce', id),
  });

  return {
    begin(flow, browser) {
      const id = randomBytes(16).toString('base64url');
      const payload: Payload = { id, until: clock.nowMs() + STATE_LIFE_MS, browser: browser.id, flow };
      return begun(sealer.seal(JSON.stringify(payload), []), id, browser);
    },

    async redeem(kind, provider, state, browser, signal) {
      const refused = (fault: StateFault) => ({ ok: false, fault }) as const;
      const opened = sealer.open(state, []);
      if (!opened.ok) return refused('state_invalid');
      const { id, until, flow, browser: owner } = JSON.parse(opened.plaintext.toString('utf8')) as Payload;
      if (browser?.id !== owner) return refused('other_browser');
      if (flow.kind !== kind || (flow.kind === 'connect' && flow.provider !== provider))
        return refused('state_mixed_up');
      if (clock.nowMs() > until) return refused('state_expired');
      // Remembered for longer than it is valid: clocks of replicas differ.
      if (!(await vault.once(`connect-state:${id}`, 2 * STATE_LIFE_MS, signal))) return refused('state_used');
      return { ok: true, flow: flow as Extract<Flow, { kind: typeof kind }>, ...begun(state, id, browser) };
    },
  };
}
