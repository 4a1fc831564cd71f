import type { AuthorizationServer } from 'oauth4webapi';
import type { MaybePromise } from '../core/maybe-promise.ts';
import type { Clock } from '../core/ports.ts';
import { urlFault } from '../core/scalars.ts';
import { SingleFlight } from '../core/single-flight.ts';
import { discover } from '../net/discovery.ts';
import type { EgressFetch } from '../net/egress.ts';
import type { UpstreamProviderConfig } from './schema.ts';

/** A document older than this is fetched anew, behind the caller's back. */
const REFRESH_MS = 3_600_000;
/** After a failure nothing is fetched for a second, then for two, four, … up to this. */
const MAX_BACK_OFF_MS = 30_000;
/** For both places of a document. */
const FETCH_LIMIT_MS = 10_000;

type Endpoints = Pick<
  UpstreamProviderConfig,
  'issuer' | 'authorizationEndpoint' | 'tokenEndpoint' | 'revocationEndpoint'
>;

/**
 * Where a provider's endpoints are. Those of the configuration win; when it names both that are needed, nothing is
 * fetched. A document that was read once outlives outages of the provider.
 */
export class ProviderMetadata {
  readonly #config: Endpoints;
  readonly #fetch: EgressFetch;
  readonly #clock: Clock;
  readonly #flight = new SingleFlight<AuthorizationServer>();
  #current: AuthorizationServer | undefined;
  #fetchedMs = Infinity;
  #failure: { readonly error: unknown; readonly atMs: number; readonly times: number } | undefined;

  constructor(config: Endpoints, fetch: EgressFetch, clock: Clock) {
    this.#config = config;
    this.#fetch = fetch;
    this.#clock = clock;
    const { issuer, authorizationEndpoint, tokenEndpoint } = config;
    // RFC 7523 3: without an issuer, the token endpoint is the audience of a client assertion.
    if (authorizationEndpoint && tokenEndpoint) this.#current = this.#with({ issuer: issuer ?? tokenEndpoint });
  }

  /** What is known now, without asking. */
  get known(): AuthorizationServer | undefined {
    return this.#current;
  }

  /** @throws what discovery throws, also while it is not tried again yet; or the abort reason of `signal` */
  get(signal: AbortSignal): MaybePromise<AuthorizationServer> {
    if (!this.#current) return this.#load(signal);
    if (this.#clock.nowMs() - this.#fetchedMs > REFRESH_MS) this.#load().catch(() => {});
    return this.#current;
  }

  async #load(signal?: AbortSignal): Promise<AuthorizationServer> {
    const failure = this.#failure;
    if (failure && this.#flight.size === 0) {
      const elapsedMs = this.#clock.nowMs() - failure.atMs;
      if (elapsedMs >= 0 && elapsedMs < Math.min(MAX_BACK_OFF_MS, 1_000 * 2 ** (failure.times - 1)))
        throw failure.error;
    }
    return this.#flight.run('metadata', FETCH_LIMIT_MS, (limit) => this.#fetchDocument(limit), signal);
  }

  async #fetchDocument(limit: AbortSignal): Promise<AuthorizationServer> {
    try {
      const server = this.#with(await discover(this.#config.issuer as string, this.#fetch, limit));
      this.#current = server;
      this.#fetchedMs = this.#clock.nowMs();
      this.#failure = undefined;
      return server;
    } catch (error) {
      this.#failure = { error, atMs: this.#clock.nowMs(), times: (this.#failure?.times ?? 0) + 1 };
      throw error;
    }
  }

  #with(document: AuthorizationServer): AuthorizationServer {
    const { authorizationEndpoint, tokenEndpoint, revocationEndpoint } = this.#config;
    const { authorization_endpoint, token_endpoint, revocation_endpoint, ...rest } = document;
    const places = {
      authorization_endpoint: authorizationEndpoint ?? authorization_endpoint,
      token_endpoint: tokenEndpoint ?? token_endpoint,
      revocation_endpoint: revocationEndpoint ?? revocation_endpoint,
    };
    const named = Object.entries(places).filter(([, place]) => place !== undefined);
    const server: AuthorizationServer = { ...rest, ...Object.fromEntries(named) };
    // Egress checks what we call ourselves; this one is for browsers.
    const { authorization_endpoint: place } = server;
    if (place !== undefined && urlFault(place)) throw new Error('the authorization endpoint is not an https URL');
    return server;
  }
}
