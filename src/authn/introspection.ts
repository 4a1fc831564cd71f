import { hash } from 'node:crypto';
import type { Tools } from '../core/ports.ts';
import { refuse } from '../core/refusal.ts';
import { SingleFlight } from '../core/single-flight.ts';
import type { Egress } from '../net/egress.ts';
import { MAX_TOKEN_LENGTH } from './authorization.ts';
import { readCompactJws } from './compact-jws.ts';
import { judgeIntrospection } from './introspected-token.ts';
import { IntrospectionCache } from './introspection-cache.ts';
import { faultOf, type IntrospectionConfig, IntrospectionEndpoint } from './introspection-endpoint.ts';
import { isRefusal } from './jwt-rules.ts';
import { ABSENT, type IncomingMethod, type Outcome } from './method.ts';

/** For one token, discovery included. Longer than egress gives these calls, so that its own fault is heard. */
const ASK_LIMIT_MS = 16_000;
/** Failures are told this often at most: while an endpoint is down, every call is one. */
const WARN_EVERY_MS = 10_000;

const TOO_LARGE: Outcome = { kind: 'rejected', refusal: refuse('token_too_large') };
const UNAVAILABLE: Outcome = { kind: 'rejected', refusal: refuse('issuer_unavailable', { retryAfterSeconds: 5 }) };

/**
 * Opaque access tokens, which only their issuer can read (RFC 7662). Claims every bearer token that is no JWT.
 *
 * An answer is reused for `cacheTtl` and never beyond the token's `exp`: that long may a token work that was revoked.
 * Without an answer nobody passes, and nothing is remembered.
 * @throws when the client should prove who it is and has no secret
 */
export function createIntrospection(
  name: string,
  config: IntrospectionConfig,
  tools: Tools,
  egress: Egress,
): IncomingMethod {
  const { clock, log, metrics } = tools;
  const { issuer } = config;
  const endpoint = new IntrospectionEndpoint(name, config, egress);
  const cache = new IntrospectionCache(config.cacheTtl, name, metrics);
  const flight = new SingleFlight<Outcome>();
  const hits = metrics.counter('mcp_identity_token_cache_hits_total', 'Tokens that were answered from memory', {
    method: name,
  });
  const misses = metrics.counter('mcp_identity_token_cache_misses_total', 'Tokens that had to be verified', {
    method: name,
  });
  let warnedMs = -Infinity;

  const unavailable = (error: unknown): Outcome => {
    const nowMs = clock.nowMs();
    if (Math.abs(nowMs - warnedMs) >= WARN_EVERY_MS) {
      warnedMs = nowMs;
      log.warn('the introspection endpoint gave no usable answer', { method: name, issuer, error: faultOf(error) });
    }
    return UNAVAILABLE;
  };

  const ask = async (token: string, key: string, limit: AbortSignal): Promise<Outcome> => {
    const askedMs = clock.nowMs();
    let answer: Readonly<Record<string, unknown>>;
    try {
      answer = await endpoint.ask(token, limit);
    } catch (error) {
      return unavailable(error);
    }
    const judged = judgeIntrospection(answer, config, { methodName: name, token, nowMs: clock.nowMs() });
    return isRefusal(judged) ? cache.setRefusal(key, judged, askedMs) : cache.setUser(key, judged, askedMs);
  };

  return {
    name,
    type: 'introspection',
    issuer,
    scheme: 'bearer',
    credentialHeaders: [],
    audience: config.audience,

    authenticate(_facts, authorization, signal) {
      if (authorization.kind !== 'bearer') return ABSENT;
      const { token } = authorization;
      if (token.length > MAX_TOKEN_LENGTH) return TOO_LARGE;
      const key = hash('sha256', token, 'base64');
      const known = cache.get(key, clock.nowMs());
      if (known) {
        hits.inc();
        return known;
      }
      if (readCompactJws(token)) return ABSENT;
      misses.inc();
      return flight.run(key, ASK_LIMIT_MS, (limit) => ask(token, key, limit), signal);
    },

    async warm() {
      try {
        await endpoint.locate(AbortSignal.timeout(ASK_LIMIT_MS));
      } catch (error) {
        unavailable(error);
      }
    },
  };
}
