import { ANONYMOUS, type Identity } from '../core/identity.ts';
import type { MaybePromise } from '../core/maybe-promise.ts';
import type { Log, Observe } from '../core/ports.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import type { HeaderFields, RequestFacts } from '../core/request-facts.ts';
import { abandonable } from '../core/single-flight.ts';
import { type Authorization, readAuthorization } from './authorization.ts';
import { readCompactJws } from './compact-jws.ts';
import type { IncomingMethod, Outcome } from './method.ts';

export type ChainOutcome =
  | { readonly kind: 'identified'; readonly identity: Identity }
  | { readonly kind: 'rejected'; readonly refusal: Refusal };

/** Says who a caller is. Never throws and never rejects. */
export type Chain = (facts: RequestFacts, signal: AbortSignal) => MaybePromise<ChainOutcome>;

interface Link {
  readonly method: IncomingMethod;
  /** One of them must be among the token's; undefined for credentials that are issued for no audience. */
  readonly audiences: readonly string[] | undefined;
}

const rejected = (refusal: Refusal): ChainOutcome => ({ kind: 'rejected', refusal });

/**
 * The methods of one route, asked in its order (contract §3). The first that finds its credential decides: a wrong one
 * ends the request, it never falls through to the next method or to anonymous.
 * @param resource what tokens must be issued for when their method names no audience
 * @param log told of methods that break
 */
export function createChain(
  methods: readonly IncomingMethod[],
  resource: string | undefined,
  log?: Log,
  observe?: Observe,
): Chain {
  const links = methods
    .filter((method) => method.type !== 'anonymous')
    .map((method): Link => {
      const here = resource === undefined ? method : (method.at?.(resource) ?? method);
      return { method: here, audiences: audiencesOf(method, resource) };
    });
  const asked = links.map((link) => link.method);
  const takesDpop = asked.some((method) => method.dpop !== undefined);
  const letsAnonymousIn = asked.length < methods.length;

  const ask = (
    first: number,
    facts: RequestFacts,
    authorization: Authorization,
    signal: AbortSignal,
  ): MaybePromise<ChainOutcome> => {
    for (let i = first; i < links.length; i++) {
      const link = links[i] as Link;
      let outcome: MaybePromise<Outcome>;
      try {
        outcome = link.method.authenticate(facts, authorization, signal);
      } catch (error) {
        return failure(link, error, signal, log);
      }
      if (outcome instanceof Promise) {
        return abandonable(outcome, signal).then(
          (late) => judge(link, late, observe) ?? ask(i + 1, facts, authorization, signal),
          (error: unknown) => failure(link, error, signal, log),
        );
      }
      const judged = judge(link, outcome, observe);
      if (judged) return judged;
    }
    const end = unclaimed(asked, letsAnonymousIn, authorization, facts.headers);
    observe?.({
      check: 'credential',
      refusal: end.kind === 'rejected' ? end.refusal : undefined,
      note: 'no method claims the request',
    });
    return end;
  };

  return (facts, signal) => {
    if (signal.aborted) return rejected(refuse('deadline_exceeded'));
    const authorization = readAuthorization(facts.headers, takesDpop);
    if (authorization.kind === 'malformed') {
      observe?.({ check: 'credential', refusal: authorization.refusal });
      return rejected(authorization.refusal);
    }
    return ask(0, facts, authorization, signal);
  };
}

function audiencesOf(method: IncomingMethod, resource: string | undefined): readonly string[] | undefined {
  if (method.type !== 'jwt' && method.type !== 'introspection') return undefined;
  return method.audience ?? (resource === undefined ? [] : [resource]);
}

/** @returns undefined when the method has nothing to say */
function judge({ method, audiences }: Link, outcome: Outcome, observe?: Observe): ChainOutcome | undefined {
  observe?.({
    check: 'credential',
    method: method.name,
    absent: outcome.kind === 'absent',
    refusal: outcome.kind === 'rejected' ? outcome.refusal : undefined,
  });
  if (outcome.kind === 'absent') return undefined;
  if (outcome.kind === 'rejected') return outcome;
  const { user } = outcome;
  if (audiences === undefined) return { kind: 'identified', identity: user };
  const fits = user.audiences?.some((audience) => audiences.includes(audience)) === true;
  const refusal = fits
    ? undefined
    : refuse('token_audience', {
        detail: `aud must hold ${audiences.join(' or ') || 'the resource, and there is none'}`,
      });
  observe?.({
    check: 'audience',
    method: method.name,
    refusal,
    note: `aud is ${user.audiences?.join(', ') || 'missing'}`,
  });
  return refusal ? rejected(refusal) : { kind: 'identified', identity: user };
}

/** No method has claimed the request. */
function unclaimed(
  asked: readonly IncomingMethod[],
  letsAnonymousIn: boolean,
  authorization: Authorization,
  headers: HeaderFields,
): ChainOutcome {
  const isToken = authorization.kind === 'bearer' || authorization.kind === 'dpop';
  if (isToken && asked.some((method) => method.scheme === 'bearer')) {
    return rejected(refuse(readCompactJws(authorization.token) ? 'token_issuer' : 'token_malformed'));
  }
  if (authorization.kind !== 'none') return rejected(refuse('scheme_not_accepted'));
  // Contract §3: nobody is anonymous who brings a credential, except that headers of an untrusted proxy count as absent.
  const brings = asked.some(
    (method) => method.type !== 'trusted_proxy' && method.credentialHeaders.some((name) => headers.has(name)),
  );
  return letsAnonymousIn && !brings
    ? { kind: 'identified', identity: ANONYMOUS }
    : rejected(refuse('credential_missing'));
}

function failure({ method }: Link, error: unknown, signal: AbortSignal, log: Log | undefined): ChainOutcome {
  if (signal.aborted) return rejected(refuse('deadline_exceeded'));
  const detail = `the method ${method.name} failed: ${placeOf(error)}`;
  log?.error('an incoming method failed', { method: method.name, error: placeOf(error) });
  return rejected(refuse('internal', { detail }));
}

/** Kind and place of an error. Its message is left out, because it may quote what the client sent. */
function placeOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const place = /^ +at .*$/m.exec(error.stack ?? '')?.[0].trim();
  return place === undefined ? error.name : `${error.name} ${place}`;
}
