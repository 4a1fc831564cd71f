import {
  allowInsecureRequests,
  authorizationCodeGrantRequest,
  customFetch,
  getValidatedIdTokenClaims,
  processAuthorizationCodeResponse,
  validateApplicationLevelSignature,
  validateAuthResponse,
} from 'oauth4webapi';
import { claimAt } from '../core/claims.ts';
import type { Tools } from '../core/ports.ts';
import type { Egress } from '../net/egress.ts';
import { createOAuthClient } from '../net/oauth-client.ts';
import { authorizationUrl } from './authorization-url.ts';
import type { UserKey } from './connect-state.ts';
import { failed, failureOf, failureOfStatus, type ProviderFailure } from './provider-failure.ts';
import { ProviderMetadata } from './provider-metadata.ts';
import { type AuthorizationOutcome, refusedCallback } from './provider.ts';
import type { ConnectConfig } from './schema.ts';

export type LoginConfig = NonNullable<ConnectConfig['login']>;

/** Somebody who has signed in. */
export interface Person extends UserKey {
  /** What the person is called on pages; says nothing about who they are. */
  readonly label: string;
}

export type LoginOutcome =
  | { readonly kind: 'signed_in'; readonly person: Person }
  /** The person, or the issuer's rules, said no; `error` is an OAuth error. */
  | { readonly kind: 'denied'; readonly error: string }
  | ProviderFailure;

interface LoginInput {
  readonly redirectUri: string;
  readonly state: string;
  readonly codeVerifier: string;
  readonly nonce: string;
}

/** Where people sign in before they connect an account: OpenID Connect, code flow. No method throws. */
export interface Login {
  readonly issuer: string;
  /** Differs when the configuration would see another identity in the same person: sessions of before are void then. */
  readonly fingerprint: readonly string[];
  /** @param again ask for the credentials even if somebody is signed in there */
  authorizationUrl(input: LoginInput & { readonly again: boolean }, signal: AbortSignal): Promise<AuthorizationOutcome>;
  /** From the callback to the person. The caller has taken `state` out of use before. */
  finish(input: LoginInput & { readonly params: URLSearchParams }, signal: AbortSignal): Promise<LoginOutcome>;
}

/** As for incoming tokens (in UTF-16 units). */
const MAX_SUBJECT_LENGTH = 1024;
const MAX_LABEL_LENGTH = 80;

/** @throws when the client cannot prove itself as configured; says why */
export function createLogin(config: LoginConfig, tools: Tools, egress: Egress): Login {
  const { issuer, clientId, subjectClaim = 'sub' } = config;
  const { client, authenticate } = createOAuthClient(config);
  const metadata = new ProviderMetadata({ issuer }, egress.for('discovery'), tools.clock);
  const fetchToken = egress.for('login_token');
  const fetchKeys = egress.for('login_keys');
  // OpenID Connect Core 3.1.2.1: without it there is no ID token.
  const scopes = config.scopes.includes('openid') ? config.scopes : ['openid', ...config.scopes];

  return {
    issuer,
    fingerprint: [issuer, clientId, subjectClaim],

    async authorizationUrl({ nonce, again, ...input }, signal) {
      try {
        const { authorization_endpoint: endpoint } = await metadata.get(signal);
        if (endpoint === undefined) return failed('malformed');
        const authorizeParams = { nonce, ...(again ? { prompt: 'login' } : {}) };
        return { kind: 'url', url: authorizationUrl(endpoint, { clientId, scopes, authorizeParams }, input) };
      } catch (error) {
        return failureOf(error, signal);
      }
    },

    async finish({ params, redirectUri, state, codeVerifier, nonce }, signal) {
      try {
        const server = await metadata.get(signal);
        let callback: URLSearchParams;
        try {
          callback = validateAuthResponse(server, client, params, state);
        } catch (error) {
          return refusedCallback(error);
        }
        const options = { [customFetch]: fetchToken, [allowInsecureRequests]: true as const, signal };
        const response = await authorizationCodeGrantRequest(
          server,
          client,
          authenticate,
          callback,
          redirectUri,
          codeVerifier,
          options,
        );
        const failure = failureOfStatus(response, tools.clock.nowMs());
        if (failure) return failure;
        // RFC 6749 5.2: 401 is about the client, whatever challenge comes with it.
        if (response.status === 401) return failed('client_rejected');
        const answer = await processAuthorizationCodeResponse(server, client, response, { expectedNonce: nonce });
        // OpenID Connect Core 3.1.3.7 item 6 lets TLS stand in for the signature; who a person is deserves both. A copy,
        // because the library remembers keys by object, for a minute even when they have changed: sign-ins are rare.
        await validateApplicationLevelSignature({ ...server }, response, {
          [customFetch]: fetchKeys,
          [allowInsecureRequests]: true,
          signal,
        });
        const person = personOf(getValidatedIdTokenClaims(answer) ?? {}, issuer, subjectClaim);
        return person ? { kind: 'signed_in', person } : failed('malformed');
      } catch (error) {
        const outcome = failureOf(error, signal);
        return outcome.error === 'invalid_grant' ? failed('code_rejected', { error: 'invalid_grant' }) : outcome;
      }
    },
  };
}

/** Undefined when the claim that names people is missing or no usable text. */
function personOf(claims: Readonly<Record<string, unknown>>, issuer: string, subjectClaim: string): Person | undefined {
  const subject = claimAt(claims, subjectClaim);
  if (typeof subject !== 'string' || subject === '' || subject.length > MAX_SUBJECT_LENGTH || !subject.isWellFormed())
    return undefined;
  const names = [claims['preferred_username'], claims['email'], claims['name'], subject];
  const label = names.find((name): name is string => typeof name === 'string' && name.trim() !== '') ?? subject;
  return { issuer, subject, label: label.length > MAX_LABEL_LENGTH ? `${label.slice(0, MAX_LABEL_LENGTH)}…` : label };
}
