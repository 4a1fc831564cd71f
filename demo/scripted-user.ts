import { randomUUID } from 'node:crypto';
import { signIn } from './sign-in.ts';

/**
 * The `OAuthClientProvider` that an application gives to an official MCP client, with a script in place of
 * the browser. The client does the rest by itself: it reads the 401 challenge, fetches the metadata of the
 * resource and of the authorization server, registers, and exchanges the code (PKCE). Everything is kept in memory.
 *
 * Both SDK generations want the same members; only the types of what they store differ.
 */
export function scriptedUser<ClientInformation, Tokens, Discovery>(user: string, say: (step: string) => void) {
  // Nobody listens there: the script reads the redirect instead of following it.
  const redirectUrl = 'http://127.0.0.1:33418/callback';
  const state = randomUUID();
  let client: ClientInformation | undefined;
  let tokens: Tokens | undefined;
  let discovery: Discovery | undefined;
  let verifier = '';
  let callback: URLSearchParams | undefined;

  return {
    redirectUrl,
    clientMetadata: {
      client_name: 'Demo client',
      redirect_uris: [redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    state: () => state,
    // Which authorization server this sign-in began at; the client checks that it ends there, too.
    discoveryState: () => discovery,
    saveDiscoveryState(found: Discovery) {
      discovery = found;
    },
    clientInformation: () => client,
    saveClientInformation(information: ClientInformation) {
      say('registered itself');
      client = information;
    },
    tokens: () => tokens,
    saveTokens(issued: Tokens) {
      say('exchanged the code for an access token');
      tokens = issued;
    },
    codeVerifier: () => verifier,
    saveCodeVerifier(value: string) {
      verifier = value;
    },
    async redirectToAuthorization(url: URL) {
      say(
        `signs in as ${user} for scope "${url.searchParams.get('scope') ?? ''}", resource ${url.searchParams.get('resource') ?? 'none'}`,
      );
      callback = (await signIn(url, user, redirectUrl)).searchParams;
      if (callback.get('state') !== state) throw new Error('the answer belongs to another sign-in');
    },
    /** What the authorization server sent back, for `transport.finishAuth`. */
    takeCallback(): URLSearchParams {
      if (callback === undefined) throw new Error('nobody signed in yet');
      return callback;
    },
  };
}
