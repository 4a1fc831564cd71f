import {
  allowInsecureRequests,
  type AuthorizationServer,
  customFetch,
  genericTokenEndpointRequest,
  processGenericTokenEndpointResponse,
  type TokenEndpointResponse,
} from 'oauth4webapi';
import type { Tools } from '../core/ports.ts';
import { Secret } from '../core/secret.ts';
import { SingleFlight } from '../core/single-flight.ts';
import type { Egress, EgressFetch } from '../net/egress.ts';
import { createOAuthClient, type OAuthClient } from '../net/oauth-client.ts';
import { failureOf, failureOfStatus, type ProviderFailure } from '../upstream/provider-failure.ts';
import type { TokenExchangeClientConfig } from '../upstream/schema.ts';
import { lifeOf } from './token-life.ts';

export type EndpointAnswer =
  | {
      readonly kind: 'answer';
      readonly answer: TokenEndpointResponse;
      /** Milliseconds since the epoch; lives are counted from here, so that no token lives longer than we think. */
      readonly sentAtMs: number;
    }
  | ProviderFailure;

export type SelfToken = { readonly kind: 'token'; readonly token: Secret; readonly untilMs: number } | ProviderFailure;

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
/** For our own token; egress gives a call 5 s. */
const SELF_LIMIT_MS = 6_000;
/** Refusals of users' tokens, which anybody can bring about, cost no more than one own token in this time. */
const FORGET_EVERY_MS = 10_000;

/** The token endpoint of an RFC 8693 server, and who we are there. */
export class ExchangeEndpoint {
  readonly name: string;
  /** What tells this endpoint from others in cache keys. */
  readonly identity: string;
  readonly #audiences: ReadonlyMap<string, string>;
  readonly #server: AuthorizationServer;
  readonly #oauth: OAuthClient;
  readonly #clock: Tools['clock'];
  readonly #fetchExchange: EgressFetch;
  readonly #fetchSelf: EgressFetch;
  readonly #selfFlight = new SingleFlight<SelfToken>();
  #self: Extract<SelfToken, { kind: 'token' }> | undefined;
  #forgotAtMs = -Infinity;

  /**
   * @param name the entry under `tokenExchanges`
   * @throws when the client cannot prove itself; says which entry
   */
  constructor(name: string, config: TokenExchangeClientConfig, { clock }: Tools, egress: Egress) {
    const { tokenEndpoint, clientId } = config;
    this.name = name;
    this.#audiences = new Map(Object.entries(config.audiences));
    this.identity = JSON.stringify([name, tokenEndpoint, clientId]);
    // RFC 7523 3: the token endpoint may be the audience of a client assertion; its issuer is not known.
    this.#server = { issuer: tokenEndpoint, token_endpoint: tokenEndpoint };
    this.#clock = clock;
    this.#fetchExchange = egress.for('token_exchange');
    this.#fetchSelf = egress.for('token_exchange_actor');
    try {
      this.#oauth = createOAuthClient(config);
    } catch (error) {
      throw new Error(`tokenExchanges.${name}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** What the server knows an audience of the route by. */
  audienceOf(name: string | undefined): string | undefined {
    return name === undefined ? undefined : (this.#audiences.get(name) ?? name);
  }

  /** RFC 8693 2.1. @param parameters without those that say who we are */
  exchange(parameters: URLSearchParams, signal: AbortSignal): Promise<EndpointAnswer> {
    return this.#call(TOKEN_EXCHANGE, parameters, this.#fetchExchange, signal);
  }

  /** Our own token, by client credentials, for `actor_token`: kept until shortly before its end. */
  async self(signal: AbortSignal): Promise<SelfToken> {
    const nowMs = this.#clock.nowMs();
    if (this.#self && nowMs < this.#self.untilMs) return this.#self;
    return this.#selfFlight.run('self', SELF_LIMIT_MS, (limit) => this.#fetchOwnToken(limit), signal);
  }

  /**
   * Our own token may be what an exchange was refused for (RFC 8693 2.2.2): the next one gets another, but not more
   * often than every 10 s.
   */
  forgetSelf(): void {
    const nowMs = this.#clock.nowMs();
    const sinceMs = nowMs - this.#forgotAtMs;
    if (sinceMs >= 0 && sinceMs < FORGET_EVERY_MS) return; // below zero the clock was set back
    this.#forgotAtMs = nowMs;
    this.#self = undefined;
  }

  async #fetchOwnToken(limit: AbortSignal): Promise<SelfToken> {
    const called = await this.#call('client_credentials', new URLSearchParams(), this.#fetchSelf, limit);
    if (called.kind === 'failed') return called;
    const { access_token: text, expires_in: expiresInSeconds } = called.answer;
    const token = new Secret(text);
    const self = { kind: 'token', token, ...lifeOf(text, expiresInSeconds, called.sentAtMs) } as const;
    this.#self = self;
    return self;
  }

  async #call(
    grantType: string,
    parameters: URLSearchParams,
    fetch: EgressFetch,
    signal: AbortSignal,
  ): Promise<EndpointAnswer> {
    const { client, authenticate } = this.#oauth;
    const server = this.#server;
    try {
      const sentAtMs = this.#clock.nowMs();
      const response = await genericTokenEndpointRequest(server, client, authenticate, grantType, parameters, {
        [customFetch]: fetch,
        [allowInsecureRequests]: true, // egress refuses http outside of loopback
        signal,
      });
      const failure = failureOfStatus(response, this.#clock.nowMs());
      if (failure) return failure;
      const answer = await processGenericTokenEndpointResponse(server, client, await bareAnswer(response), {
        recognizedTokenTypes: { n_a: () => {} }, // RFC 8693 2.2.1; judged later, with a word of its own
      });
      return { kind: 'answer', answer, sentAtMs };
    } catch (error) {
      return failureOf(error, signal);
    }
  }
}

/**
 * The answer without what nothing here relies on: challenges, so that the error in the body is what counts, and ID
 * tokens, which could not be validated without the issuer.
 */
async function bareAnswer(response: Response): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  const { status } = response;
  let body: unknown;
  try {
    body = await response.json();
  } catch {
    body = undefined;
  }
  // RFC 6749 5.2: what 401 stands for, where the body does not say.
  if (status === 401 && !isObject(body)) body = { error: 'invalid_client' };
  if (!isObject(body)) return new Response('{}', { status, headers });
  const { id_token: _idToken, ...rest } = body;
  return new Response(JSON.stringify(rest), { status, headers });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
