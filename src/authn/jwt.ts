import { compactVerify, type CryptoKey } from 'jose';
import type { Tools } from '../core/ports.ts';
import { type Reason, type Refusal, refuse } from '../core/refusal.ts';
import { SingleFlight } from '../core/single-flight.ts';
import { MAX_TOKEN_LENGTH } from './authorization.ts';
import { readBoundKey } from './bound-key.ts';
import { type CompactJws, readCompactJws } from './compact-jws.ts';
import { isRefusal, judgeHeader, judgeRequired, judgeTime, readValidity, type SignatureHeader } from './jwt-rules.ts';
import { tokenType, type Validity } from './jwt-rules.ts';
import type { KeySet } from './key-set.ts';
import { ABSENT, type IncomingMethod, type Outcome } from './method.ts';
import { ProvenSignatures } from './proven-signatures.ts';
import type { JwtConfig } from './schema.ts';
import { userFromClaims } from './token-claims.ts';
import type { VerifiedToken, VerifiedTokens } from './verified-tokens.ts';

/** For one verification, a fetch of keys included. Longer than that fetch may take, so that its own answer is heard. */
const VERIFY_LIMIT_MS = 15_000;

/** What is known of a token before its signature has been looked at. */
interface Prechecked {
  readonly signature: SignatureHeader;
  readonly validity: Validity;
}

const TOO_LARGE: Outcome = { kind: 'rejected', refusal: refuse('token_too_large') };

/**
 * Access tokens that are JWTs of one issuer (RFC 9068, RFC 8725). Claims a bearer token whose `iss` is exactly its issuer.
 * A token that was verified before is answered at once, without parsing anything.
 * @param verified shared by all jwt methods: what one has verified is none of the other issuers'
 * @param keys of the issuer; they may be known already
 */
export function createJwt(
  name: string,
  config: JwtConfig,
  tools: Tools,
  verified: VerifiedTokens,
  keys: KeySet,
): IncomingMethod {
  const { clock, metrics, observe } = tools;
  const { issuer } = config;
  const algorithms: ReadonlySet<string> = new Set(config.algorithms);
  const types = new Set(config.tokenTypes.map(tokenType));
  /** Stands for this method with these settings. */
  const verifier = {};
  const flight = new SingleFlight<Outcome>();
  const proven = new ProvenSignatures();
  const hits = metrics.counter('mcp_identity_token_cache_hits_total', 'Tokens that were answered from memory', {
    method: name,
  });
  const reread = metrics.counter(
    'mcp_identity_token_cache_reread_total',
    'Tokens that were forgotten and read again, without verifying their signature again',
    { method: name },
  );
  const misses = metrics.counter('mcp_identity_token_cache_misses_total', 'Tokens that had to be verified', {
    method: name,
  });

  const isCurrent = (known: VerifiedToken) =>
    known.verifier === verifier &&
    known.generation === keys.generation &&
    judgeTime(known.validity, clock.nowMs()) === undefined;

  const seen = <T extends object | undefined>(check: string, finding: T): T => {
    observe?.({ check, method: name, refusal: finding && isRefusal(finding) ? finding : undefined });
    return finding;
  };

  /** What can be judged before the signature, which costs most. */
  const precheck = ({ header, payload }: CompactJws): Prechecked | Refusal => {
    const signature = seen('algorithm and type', judgeHeader(header, algorithms, types));
    if (isRefusal(signature)) return signature;
    const validity = readValidity(payload, config.clockSkew);
    if (isRefusal(validity)) return seen('time', validity);
    return seen('time', judgeTime(validity, clock.nowMs())) ?? { signature, validity };
  };

  /** Reads the user out of a token whose signature is right. */
  const readUser = (
    token: string,
    payload: CompactJws['payload'],
    validity: Validity,
    generation: number,
  ): VerifiedToken | Refusal => {
    const bound = seen('key binding', readBoundKey(payload['cnf'], config.dpop));
    if (isRefusal(bound)) return bound;
    const lacking = seen('required claims', judgeRequired(payload, config.requiredClaims));
    if (lacking) return lacking;
    const user = seen(
      'subject',
      userFromClaims(payload, config, {
        authMethod: 'jwt',
        methodName: name,
        token,
        expiresAt: payload['exp'] as number,
        boundTo: bound.thumbprint,
      }),
    );
    if (isRefusal(user)) return user;
    const late = judgeTime(validity, clock.nowMs()); // keys may have been waited for
    if (late) return late;
    return { outcome: { kind: 'identified', user }, verifier, issuer, validity, generation };
  };

  /** The judgement about a token of this issuer; nothing is believed before the signature. */
  const judge = async (
    token: string,
    payload: CompactJws['payload'],
    { signature, validity }: Prechecked,
    signal: AbortSignal,
  ): Promise<VerifiedToken | Refusal> => {
    const answer = await keys.resolve(signature.alg, signature.kid, signal);
    if (answer.kind === 'refused') return seen('signature', answer.refusal);
    const fault = await signatureFault(answer.keys, token, signature.alg);
    if (fault) return seen('signature', refuse(fault));
    seen('signature', undefined);
    proven.add(token, answer.generation);
    return readUser(token, payload, validity, answer.generation);
  };

  /** Keeps what was found out, and answers with it. */
  const conclude = (token: string, judged: VerifiedToken | Refusal): Outcome => {
    if (isRefusal(judged)) {
      if (verified.get(token)?.verifier === verifier) verified.delete(token);
      return { kind: 'rejected', refusal: judged };
    }
    verified.set(token, judged);
    return judged.outcome;
  };

  return {
    name,
    type: 'jwt',
    issuer,
    scheme: 'bearer',
    credentialHeaders: [],
    audience: config.audience,

    authenticate(_facts, authorization, signal) {
      if (authorization.kind !== 'bearer') return ABSENT;
      const { token } = authorization;
      if (token.length > MAX_TOKEN_LENGTH) return TOO_LARGE;
      const known = verified.get(token);
      if (known && known.issuer !== issuer) return ABSENT;
      if (known && isCurrent(known)) {
        hits.inc();
        keys.touch();
        return known.outcome;
      }
      const jws = readCompactJws(token);
      if (!jws || jws.payload['iss'] !== issuer) return ABSENT;
      const checked = precheck(jws);
      if (isRefusal(checked)) {
        misses.inc();
        return conclude(token, checked);
      }
      const { generation } = keys;
      if (proven.has(token, generation)) {
        reread.inc();
        keys.touch();
        return conclude(token, readUser(token, jws.payload, checked.validity, generation));
      }
      misses.inc();
      return flight.run(
        token,
        VERIFY_LIMIT_MS,
        async (limit) => conclude(token, await judge(token, jws.payload, checked, limit)),
        signal,
      );
    },

    // Keys that are known may be of use already: nobody waits for newer ones.
    warm: async () => (keys.generation > 0 ? keys.touch() : keys.warm()),
  };
}

/** What jose says when the token is at fault. Anything else is a bug or a broken machine. */
const FAULTS: Readonly<Record<string, Reason>> = {
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'token_signature',
  ERR_JWS_INVALID: 'token_malformed',
  ERR_JOSE_NOT_SUPPORTED: 'token_malformed',
  ERR_JOSE_ALG_NOT_ALLOWED: 'token_algorithm',
};

/** @returns undefined when one of the keys made the signature */
async function signatureFault(keys: readonly CryptoKey[], token: string, alg: string): Promise<Reason | undefined> {
  let fault: Reason = 'token_signature';
  for (const key of keys) {
    try {
      await compactVerify(token, key, { algorithms: [alg] });
      return undefined;
    } catch (error) {
      const known = FAULTS[String((error as { code?: unknown }).code)];
      if (known === undefined) throw error;
      fault = known;
    }
  }
  return fault;
}
