import type { User } from '../core/identity.ts';
import type { MaybePromise } from '../core/maybe-promise.ts';
import type { Refusal } from '../core/refusal.ts';
import type { RequestFacts } from '../core/request-facts.ts';
import type { Authorization } from './authorization.ts';

/** "Not mine" is not "wrong": an absent credential lets the next method look, a rejected one ends the request. */
export type Outcome =
  | { readonly kind: 'identified'; readonly user: User }
  | { readonly kind: 'absent' }
  | { readonly kind: 'rejected'; readonly refusal: Refusal };

export const ABSENT: Outcome = { kind: 'absent' };

/** One entry of `incomingAuth`, prepared once. */
export interface IncomingMethod {
  readonly name: string;
  readonly type: 'jwt' | 'introspection' | 'api_key' | 'basic' | 'trusted_proxy' | 'anonymous';
  /** Authorization server of its tokens, for RFC 9728 documents; undefined where there is none. */
  readonly issuer: string | undefined;
  /** The Authorization scheme it reads (lower case), undefined when it reads none. */
  readonly scheme: 'bearer' | 'basic' | undefined;
  /** Whether its tokens may or must be bound to a key (RFC 9449); undefined: it takes bearer tokens only. */
  readonly dpop?: 'allowed' | 'required';
  /** Lower-case names of the other headers it reads credentials from. */
  readonly credentialHeaders: readonly string[];
  /** Audiences it accepts; undefined: the token must name the route's `resource`. */
  readonly audience: readonly string[] | undefined;
  /**
   * Looks for its credential and judges it. Audience and scopes of the route are judged by the chain and the pipeline,
   * so that what is remembered here is a fact about the credential.
   */
  authenticate(facts: RequestFacts, authorization: Authorization, signal: AbortSignal): MaybePromise<Outcome>;
  /** The same method for a route of this `resource`, where the URL that clients use matters to its judgement. */
  at?(resource: string): IncomingMethod;
  /** Fetches ahead what the first request would wait for. Never fails: an issuer that is down must not stop the start. */
  warm?(): Promise<void>;
  /** Frees timers and sockets. */
  close?(): void;
}
