import { createHash } from 'node:crypto';
import {
  allowInsecureRequests,
  authorizationCodeGrantRequest,
  AuthorizationResponseError,
  type AuthorizationServer,
  customFetch,
  processAuthorizationCodeResponse,
  processRefreshTokenResponse,
  refreshTokenGrantRequest,
  revocationRequest,
  type TokenEndpointResponse,
  validateAuthResponse,
} from 'oauth4webapi';
import type { MaybePromise } from '../core/maybe-promise.ts';
import type { Tools } from '../core/ports.ts';
import type { Egress, EgressFetch } from '../net/egress.ts';
import { createOAuthClient } from '../net/oauth-client.ts';
import { type AuthorizationInput, authorizationUrl, reservedParameter } from './authorization-url.ts';
import { failed, failureOf, failureOfStatus, oauthErrorOf, type ProviderFailure } from './provider-failure.ts';
import { ProviderMetadata } from './provider-metadata.ts';
import type { UpstreamProviderConfig } from './schema.ts';
import { normalTokenAnswer, type TokenAnswer, tokenAnswerOf } from './token-answer.ts';
import type { GrantContent } from './vault/vault.ts';

export interface CallbackInput {
  /** Query of the callback, as the browser brought it. */
  readonly params: URLSearchParams;
  readonly redirectUri: string;
  readonly codeVerifier: string;
  readonly expectedState: string;
}

export type AuthorizationOutcome = { readonly kind: 'url'; readonly url: string } | ProviderFailure;
export type ExchangeOutcome =
  | { readonly kind: 'granted'; readonly content: GrantContent }
  /** The person, or the provider's rules, said no; `error` is an OAuth error. */
  | { readonly kind: 'denied'; readonly error: string }
  | ProviderFailure;
export type RefreshOutcome =
  | { readonly kind: 'refreshed'; readonly content: GrantContent }
  /** `invalid_grant`: this refresh token will never work again (RFC 6749 5.2). */
  | { readonly kind: 'dead' }
  | ProviderFailure;
export type RevokeOutcome = { readonly kind: 'revoked' } | { readonly kind: 'unsupported' } | ProviderFailure;

/**
 * An OAuth server at which users have accounts. No method throws (an abort of `signal` is a `timeout`), and nothing that
 * comes back holds a token outside of a `Secret`, or a word that the provider made up.
 */
export interface Provider {
  readonly name: string;
  /** Fingerprint of its server and of our client there; stands in the grants that it gives. */
  readonly issuedBy?: string;
  /** What is asked for when an account is connected. */
  readonly scopes: readonly string[];
  readonly refreshBeforeMs: number;
  /** Whether there is a revocation endpoint; undefined while the metadata document was never read. */
  readonly supportsRevocation: boolean | undefined;
  /** Finds the endpoints, so that the next call is not held up by it. */
  prepare(signal: AbortSignal): MaybePromise<ProviderFailure | undefined>;
  /** Where the browser is sent to connect an account. */
  authorizationUrl(input: AuthorizationInput, signal: AbortSignal): Promise<AuthorizationOutcome>;
  /** From the callback to the grant. The caller has taken `state` out of use before. */
  exchangeCode(input: CallbackInput, signal: AbortSignal): Promise<ExchangeOutcome>;
  /** @param grant must hold a refresh token; what comes back replaces all of it */
  refresh(grant: GrantContent, signal: AbortSignal): Promise<RefreshOutcome>;
  /** RFC 7009: the refresh token, and the access token with it. */
  revoke(grant: GrantContent, signal: AbortSignal): Promise<RevokeOutcome>;
}

/**
 * For one call that refreshes, in milliseconds. Generous: a provider that is slow may have rotated the token already,
 * and whoever gives up and sends the old one again may lose the account (RFC 9700 4.14.2).
 */
const REFRESH_CALL_LIMIT_MS = 20_000;

/**
 * @param name the entry under `upstreamProviders`
 * @throws when `authorizeParams` names a protocol parameter, or the client cannot prove itself; says which
 */
export function createProvider(name: string, config: UpstreamProviderConfig, tools: Tools, egress: Egress): Provider {
  const reserved = reservedParameter(config.authorizeParams);
  if (reserved !== undefined) throw new Error(`upstreamProviders.${name}.authorizeParams must not set ${reserved}`);
  const { client, authenticate } = createOAuthClient(config);
  const { clock } = tools;
  const metadata = new ProviderMetadata(config, egress.for('discovery'), clock);
  // Anybody can bring made-up codes to the callback: those calls must not take the turns of refreshes.
  const fetchCode = egress.for('upstream_code');
  const fetchRefresh = egress.for('upstream_refresh', { timeoutMs: REFRESH_CALL_LIMIT_MS });
  const fetchRevocation = egress.for('upstream_revocation');
  const issuedBy = fingerprintOf(config);
  const resource: Record<string, string> = config.resource === undefined ? {} : { resource: config.resource };

  /** One call of the token endpoint; `process` is oauth4webapi's judgement about the answer. */
  const callToken = async (
    fetchToken: EgressFetch,
    signal: AbortSignal,
    request: (server: AuthorizationServer, options: CallOptions) => Promise<Response>,
    process: (server: AuthorizationServer, response: Response) => Promise<TokenEndpointResponse>,
  ): Promise<{ kind: 'answer'; answer: TokenAnswer; sentAtMs: number } | { kind: 'dead' } | ProviderFailure> => {
    try {
      const server = await metadata.get(signal);
      const sentAtMs = clock.nowMs();
      const response = await request(server, {
        [customFetch]: fetchToken,
        [allowInsecureRequests]: true,
        signal,
        additionalParameters: resource,
      });
      const failure = failureOfStatus(response, clock.nowMs());
      if (failure) return failure;
      const answer = tokenAnswerOf(await process(server, await normalTokenAnswer(response, config.scopes)));
      return answer ? { kind: 'answer', answer, sentAtMs } : failed('malformed');
    } catch (error) {
      return oauthErrorOf(error) === 'invalid_grant' ? { kind: 'dead' } : failureOf(error, signal);
    }
  };

  return {
    name,
    issuedBy,
    scopes: config.scopes,
    refreshBeforeMs: config.refreshBefore,
    get supportsRevocation() {
      return metadata.known && metadata.known.revocation_endpoint !== undefined;
    },

    prepare(signal) {
      const server = metadata.get(signal);
      if (!(server instanceof Promise)) return undefined;
      return server.then(
        () => undefined,
        (error: unknown) => failureOf(error, signal),
      );
    },

    async authorizationUrl(input, signal) {
      try {
        const { authorization_endpoint: endpoint } = await metadata.get(signal);
        return endpoint === undefined
          ? failed('malformed')
          : { kind: 'url', url: authorizationUrl(endpoint, config, input) };
      } catch (error) {
        return failureOf(error, signal);
      }
    },

    async exchangeCode({ params, redirectUri, codeVerifier, expectedState }, signal) {
      let callback: URLSearchParams;
      try {
        await metadata.get(signal);
      } catch (error) {
        return failureOf(error, signal);
      }
      try {
        const compared = new URLSearchParams(params);
        // Without an issuer in the configuration there is nothing to compare with; the callback path of its own
        // keeps this provider apart from others then (RFC 9700 4.4.2).
        if (config.issuer === undefined) compared.delete('iss');
        callback = validateAuthResponse(await metadata.get(signal), client, compared, expectedState);
      } catch (error) {
        return refusedCallback(error);
      }
      const called = await callToken(
        fetchCode,
        signal,
        (server, options) =>
          authorizationCodeGrantRequest(server, client, authenticate, callback, redirectUri, codeVerifier, options),
        (server, response) => processAuthorizationCodeResponse(server, client, response),
      );
      if (called.kind === 'dead') return failed('code_rejected', { error: 'invalid_grant' });
      if (called.kind === 'failed') return called;
      const { answer, sentAtMs } = called;
      return {
        kind: 'granted',
        content: {
          ...contentOf(answer, sentAtMs, config.scopes),
          requestedScopes: config.scopes,
          connectedAtMs: sentAtMs,
          issuedBy,
        },
      };
    },

    async refresh(grant, signal) {
      const { refreshToken } = grant;
      if (!refreshToken) throw new Error('a grant without a refresh token cannot be refreshed');
      const called = await callToken(
        fetchRefresh,
        signal,
        (server, options) => refreshTokenGrantRequest(server, client, authenticate, refreshToken.reveal(), options),
        (server, response) => processRefreshTokenResponse(server, client, response),
      );
      if (called.kind !== 'answer') return called;
      const { answer, sentAtMs } = called;
      const { requestedScopes, connectedAtMs } = grant;
      // RFC 6749 6: without a new refresh token the old one stays; without `scope` the scopes are the old ones.
      const content: GrantContent = {
        refreshToken,
        ...contentOf(answer, sentAtMs, grant.scopes),
        requestedScopes,
        connectedAtMs,
        refreshedAtMs: sentAtMs,
        issuedBy,
      };
      return { kind: 'refreshed', content };
    },

    async revoke(grant, signal) {
      try {
        const server = await metadata.get(signal);
        if (server.revocation_endpoint === undefined) return { kind: 'unsupported' };
        const send = async (token: string, hint: string): Promise<RevokeOutcome> => {
          const response = await revocationRequest(server, client, authenticate, token, {
            [customFetch]: fetchRevocation,
            [allowInsecureRequests]: true,
            signal,
            additionalParameters: { token_type_hint: hint },
          });
          if (response.ok) return { kind: 'revoked' };
          return (
            failureOfStatus(response, clock.nowMs()) ?? failed(response.status === 401 ? 'client_rejected' : 'rejected')
          );
        };
        const accessToken = grant.accessToken.reveal();
        if (!grant.refreshToken) return await send(accessToken, 'access_token');
        const outcome = await send(grant.refreshToken.reveal(), 'refresh_token');
        // RFC 7009 2.1: ending the access token with it is a SHOULD. How this ends matters less than the refresh token.
        if (outcome.kind === 'revoked') await send(accessToken, 'access_token').catch(() => {});
        return outcome;
      } catch (error) {
        return failureOf(error, signal);
      }
    },
  };
}

/** Tells whether an entry of the configuration still means the server, and the client there, that a grant came from. */
function fingerprintOf({ issuer, tokenEndpoint, clientId }: UpstreamProviderConfig): string {
  return createHash('sha256')
    .update(JSON.stringify([issuer ?? tokenEndpoint, clientId]))
    .digest('base64url');
}

interface CallOptions {
  readonly [customFetch]: ReturnType<Egress['for']>;
  readonly [allowInsecureRequests]: true;
  readonly signal: AbortSignal;
  readonly additionalParameters: Record<string, string>;
}

/** @param otherwise the scopes when the answer names none (RFC 6749 5.1) */
function contentOf(answer: TokenAnswer, sentAtMs: number, otherwise: readonly string[]) {
  const { accessToken, refreshToken, scopes = otherwise, expiresInSeconds } = answer;
  return {
    accessToken,
    ...(refreshToken && { refreshToken }),
    tokenType: 'Bearer',
    scopes,
    // Counted from before the call, so that the token never lives longer than we think.
    ...(expiresInSeconds !== undefined && { expiresAtMs: sentAtMs + Math.floor(expiresInSeconds * 1_000) }),
    issuedAtMs: sentAtMs,
  };
}

/** RFC 6749 4.1.2.1, RFC 9207 2.4. */
export function refusedCallback(error: unknown): Exclude<ExchangeOutcome, { kind: 'granted' }> {
  if (!(error instanceof AuthorizationResponseError)) return failed('callback_invalid');
  const word = oauthErrorOf(error);
  if (word === 'server_error' || word === 'temporarily_unavailable') return failed('server_error', { error: word });
  return { kind: 'denied', error: word ?? 'access_denied' };
}
