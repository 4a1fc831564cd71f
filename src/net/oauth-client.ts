import { createPrivateKey, type KeyObject } from 'node:crypto';
import { type Client, type ClientAuth, ClientSecretPost, None, PrivateKeyJwt } from 'oauth4webapi';
import type { Secret } from '../core/secret.ts';

/** How we are registered at an authorization server; the fields of the config file (contract §3). */
export interface OAuthClientConfig {
  readonly clientId: string;
  readonly clientAuth: 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt' | 'none';
  readonly clientSecret?: Secret | undefined;
  /** PKCS#8 PEM. */
  readonly privateKey?: Secret | undefined;
  /** By what name the server knows that key. */
  readonly privateKeyId?: string | undefined;
}

/** The two arguments that every request function of oauth4webapi takes. */
export interface OAuthClient {
  readonly client: Client;
  readonly authenticate: ClientAuth;
}

/**
 * Who we are at an authorization server, and how we prove it.
 * @throws when what `clientAuth` needs is missing, or the private key is of no use; no message holds a secret
 */
export function createOAuthClient(config: OAuthClientConfig): OAuthClient {
  return { client: { client_id: config.clientId }, authenticate: authenticationOf(config) };
}

function authenticationOf(config: OAuthClientConfig): ClientAuth {
  const { clientAuth, clientSecret } = config;
  if (clientAuth === 'none') return None();
  if (clientAuth === 'private_key_jwt') return signed(config);
  if (!clientSecret) throw new Error(`clientAuth ${clientAuth} needs a clientSecret`);
  if (clientAuth === 'client_secret_post')
    return (server, client, body, headers) => ClientSecretPost(clientSecret.reveal())(server, client, body, headers);
  return (_server, client, _body, headers) => {
    headers.set(
      'authorization',
      `Basic ${btoa(`${formEncoded(client.client_id)}:${formEncoded(clientSecret.reveal())}`)}`,
    );
  };
}

/**
 * RFC 6749 2.3.1 and appendix B. Letters, digits and `-._*` stay as they are, as the URL standard has it: the library
 * encodes `-._` too, which is allowed, but many servers do not decode at all and would refuse ids made of them.
 */
function formEncoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1);
}

/** RFC 7523: a short-lived JWT in place of a secret. */
function signed({ privateKey, privateKeyId: kid }: OAuthClientConfig): ClientAuth {
  if (!privateKey) throw new Error('clientAuth private_key_jwt needs a privateKey');
  const key = readKey(privateKey);
  const algorithm = algorithmOf(key);
  let ready: Promise<ClientAuth> | undefined;
  const prepare = async (): Promise<ClientAuth> => {
    const der = key.export({ type: 'pkcs8', format: 'der' });
    const imported = await crypto.subtle.importKey('pkcs8', new Uint8Array(der), algorithm, false, ['sign']);
    return PrivateKeyJwt(kid === undefined ? imported : { key: imported, kid });
  };
  return async (...request) => {
    ready ??= prepare();
    await (await ready)(...request);
  };
}

function readKey(pem: Secret): KeyObject {
  try {
    return createPrivateKey(pem.reveal());
  } catch {
    throw new Error('the privateKey is not a private key in PKCS#8 PEM'); // without the cause: it may quote the key
  }
}

const CURVES: Readonly<Record<string, string>> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' };

/** RS256, PS256, ES256, ES384, ES512 or EdDSA, by the kind of the key. */
function algorithmOf(key: KeyObject) {
  const { namedCurve = '', hashAlgorithm = 'sha256' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    case 'rsa-pss':
      return { name: 'RSA-PSS', hash: `SHA-${hashAlgorithm.slice(3)}` };
    case 'ed25519':
      return { name: 'Ed25519' };
    case 'ec':
      if (CURVES[namedCurve]) return { name: 'ECDSA', namedCurve: CURVES[namedCurve] };
      break;
    default:
  }
  throw new Error('the privateKey must be RSA, P-256, P-384, P-521 or Ed25519');
}
