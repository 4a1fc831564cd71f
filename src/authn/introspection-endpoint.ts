import {
  allowInsecureRequests,
  type AuthorizationServer,
  type ClientAuth,
  ClientSecretBasic,
  ClientSecretPost,
  customFetch,
  introspectionRequest,
  None,
  processIntrospectionResponse,
  ResponseBodyError,
  WWWAuthenticateChallengeError,
} from 'oauth4webapi';
import { SingleFlight } from '../core/single-flight.ts';
import { discover } from '../net/discovery.ts';
import type { Egress, EgressFetch } from '../net/egress.ts';
import type { IncomingMethodConfig } from './schema.ts';

export type IntrospectionConfig = Extract<IncomingMethodConfig, { type: 'introspection' }>;

/** For the metadata document, both of its places. Longer than egress gives two calls. */
const DISCOVERY_LIMIT_MS = 11_000;

/** The introspection endpoint of one issuer (RFC 7662), given or found in its metadata document. */
export class IntrospectionEndpoint {
  readonly #config: IntrospectionConfig;
  readonly #clientAuth: ClientAuth;
  readonly #fetchMetadata: EgressFetch;
  readonly #fetchAnswer: EgressFetch;
  readonly #discoveries = new SingleFlight<AuthorizationServer>();
  #server: AuthorizationServer | undefined;

  /** @throws when the client should prove who it is and has no secret */
  constructor(name: string, config: IntrospectionConfig, egress: Egress) {
    const { issuer, introspectionEndpoint } = config;
    this.#config = config;
    this.#clientAuth = clientAuth(name, config);
    this.#fetchMetadata = egress.for('discovery');
    this.#fetchAnswer = egress.for('introspection');
    if (introspectionEndpoint !== undefined) {
      this.#server = { issuer, introspection_endpoint: introspectionEndpoint };
    }
  }

  /** Finds out where the endpoint is. @throws when it cannot be found */
  async locate(signal: AbortSignal): Promise<AuthorizationServer> {
    return this.#server ?? (await this.#discoveries.run('metadata', DISCOVERY_LIMIT_MS, this.#discover, signal));
  }

  /**
   * Asks about a token.
   * @returns the answer, whose `active` is a boolean
   * @throws when there is no usable answer: never about the token, always about the way to the endpoint
   */
  async ask(token: string, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    const server = await this.locate(signal);
    const client = { client_id: this.#config.clientId };
    try {
      const response = await introspectionRequest(server, client, this.#clientAuth, token, {
        signal,
        [customFetch]: this.#fetchAnswer,
        [allowInsecureRequests]: true, // egress refuses http outside of loopback
      });
      return await processIntrospectionResponse(server, client, response);
    } catch (error) {
      if (this.#config.introspectionEndpoint === undefined) this.#server = undefined; // it may have moved
      throw error;
    }
  }

  readonly #discover = async (limit: AbortSignal): Promise<AuthorizationServer> => {
    const { issuer } = this.#config;
    const metadata = await discover(issuer, this.#fetchMetadata, limit);
    if (metadata.introspection_endpoint === undefined) {
      throw new Error('the metadata document of the issuer names no introspection_endpoint');
    }
    this.#server = { issuer, introspection_endpoint: metadata.introspection_endpoint };
    return this.#server;
  };
}

function clientAuth(name: string, { clientAuth: way, clientSecret }: IntrospectionConfig): ClientAuth {
  if (way === 'none') return None();
  if (!clientSecret) {
    throw new Error(`incomingAuth.${name}.clientSecret: is missing; clientAuth ${way} needs it`);
  }
  return way === 'client_secret_basic'
    ? ClientSecretBasic(clientSecret.reveal())
    : ClientSecretPost(clientSecret.reveal());
}

/** What went wrong, for the log: nothing of the request, and of the answer at most its OAuth error code. */
export function faultOf(error: unknown): string {
  if (error instanceof ResponseBodyError) {
    return `answered with status ${error.status}${/^\w{1,64}$/.test(error.error) ? ` and ${error.error}` : ''}`;
  }
  if (error instanceof WWWAuthenticateChallengeError) return `answered with status ${error.status} and a challenge`;
  const { message, cause } = error as Error;
  return cause instanceof Response && cause.status !== 200 ? `answered with status ${cause.status}` : message;
}
