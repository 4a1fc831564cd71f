import type { User } from '../core/identity.ts';
import { whenReady } from '../core/maybe-promise.ts';
import type { Clock, UseOnce } from '../core/ports.ts';
import { type Reason, type Refusal, refuse } from '../core/refusal.ts';
import type { RequestFacts } from '../core/request-facts.ts';
import type { DpopMode } from './bound-key.ts';
import type { ProofNonces } from './dpop-nonce.ts';
import { createProofJudge, MAX_AGE_MS, MAX_AHEAD_MS } from './dpop-proof.ts';
import { externalUrl } from './dpop-url.ts';
import { ABSENT, type IncomingMethod, type Outcome } from './method.ts';

/** What checking proofs needs beside the proofs. */
export interface DpopParts {
  /** What clients see; for routes that name no `resource`. */
  readonly publicUrl: string;
  readonly once: UseOnce;
  readonly nonces: ProofNonces;
  readonly clock: Clock;
}

/**
 * A proof is remembered until no replica takes it any more: for its whole window, and a minute by which their clocks
 * may differ.
 */
const REMEMBER_MS = MAX_AGE_MS + MAX_AHEAD_MS + 60_000;

const rejected = (reason: Reason, more?: Omit<Refusal, 'reason'>): Outcome => ({
  kind: 'rejected',
  refusal: refuse(reason, more),
});
const BOUND = rejected('token_sender_constrained');
const NOT_BOUND = rejected('token_not_bound');
const MISSING = rejected('dpop_proof_missing');
const REPEATED = rejected('dpop_proof_invalid', { detail: 'there is more than one' });
const REPLAYED = rejected('dpop_proof_replayed');

/**
 * Tokens that are bound to a key of the client (RFC 9449), for a method that reads tokens. The method goes on judging
 * and remembering tokens; each use of a bound one is proven anew here.
 *
 * A proof that was used before is told by the vault, for all replicas. While the vault does not answer nobody passes:
 * a captured proof would be as good as the token.
 */
export function withProofs(
  inner: IncomingMethod,
  config: { readonly dpop: Exclude<DpopMode, 'off'>; readonly dpopNonce: boolean },
  parts: DpopParts,
): IncomingMethod {
  const { once, nonces, clock } = parts;
  const judgeProof = createProofJudge();

  const prove = async (
    outcome: Outcome,
    { boundTo, token, origin }: { readonly boundTo: string; readonly token: string; readonly origin: string },
    facts: RequestFacts,
    signal: AbortSignal,
  ): Promise<Outcome> => {
    const [proof, another] = facts.headers.all('dpop');
    if (proof === undefined) return MISSING;
    if (another !== undefined) return REPEATED;
    const url = externalUrl(origin, facts.path);
    const finding = await judgeProof(proof, { method: facts.method, url, token, boundTo, nowMs: clock.nowMs() });
    if (finding.kind === 'wrong') return rejected('dpop_proof_invalid', { detail: finding.fault });
    if (config.dpopNonce && !nonces.accepts(finding.nonce))
      return rejected('dpop_nonce_wanted', { dpopNonce: nonces.current() });
    let first: boolean;
    try {
      // The thumbprint has one length, so no two pairs give one text.
      first = await once(`dpop ${boundTo} ${finding.jti}`, REMEMBER_MS, signal);
    } catch (error) {
      signal.throwIfAborted();
      const detail = `the store of used proofs failed: ${error instanceof Error ? error.name : typeof error}`;
      return rejected('replay_unchecked', { detail, retryAfterSeconds: 1 });
    }
    return first ? outcome : REPLAYED;
  };

  const asBearer = (outcome: Outcome, { boundTo }: User): Outcome => {
    // RFC 9449 7.2: a bound token as a bearer token is what a thief would try.
    if (boundTo !== undefined) return BOUND;
    return config.dpop === 'required' ? NOT_BOUND : outcome;
  };

  /** @param clientUrl a URL that clients use here: proofs name URLs under its origin (RFC 9449 4.2) */
  const methodAt = (clientUrl: string): IncomingMethod => {
    const { origin } = new URL(clientUrl);
    return {
      ...inner,
      dpop: config.dpop,
      credentialHeaders: [...inner.credentialHeaders, 'dpop'],
      // RFC 9728 1.2: clients compare `resource` with the URL that they use; hosts of several routes may differ.
      at: methodAt,

      authenticate(facts, authorization, signal) {
        if (authorization.kind !== 'bearer' && authorization.kind !== 'dpop') return ABSENT;
        const { kind, token } = authorization;
        return whenReady(inner.authenticate(facts, { kind: 'bearer', token }, signal), (outcome) => {
          if (outcome.kind !== 'identified') return outcome;
          const { user } = outcome;
          if (kind === 'bearer') return asBearer(outcome, user);
          return user.boundTo === undefined
            ? NOT_BOUND
            : prove(outcome, { boundTo: user.boundTo, token, origin }, facts, signal);
        });
      },
    };
  };
  return methodAt(parts.publicUrl);
}
