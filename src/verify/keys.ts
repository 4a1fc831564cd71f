import { createLocalJWKSet, createRemoteJWKSet, errors, type JWTVerifyGetKey } from 'jose';

/** Keys are asked for again after this time, so that a retired one is forgotten; in milliseconds. */
const MAX_AGE_MS = 600_000;
/** Keys that could not be asked for again go on for so long, in milliseconds: an outage there is none of ours. */
const MAX_STALE_MS = 3_600_000;
const TIMEOUT_MS = 5_000;

/**
 * The public keys behind a URL (RFC 7517), fetched when they are needed: at first, when they are old, and when an
 * assertion names one that is not among them, but not more often than every `cooldownMs`.
 */
export function remoteKeys(url: URL, cooldownMs: number): JWTVerifyGetKey {
  const remote = createRemoteJWKSet(url, {
    cacheMaxAge: MAX_AGE_MS,
    cooldownDuration: cooldownMs,
    timeoutDuration: TIMEOUT_MS,
  });
  let freshMs = 0;
  let retryMs = 0;
  return async (header, token) => {
    const now = Date.now();
    if (remote.fresh) freshMs = now;
    const known = remote.jwks();
    const mayGoOn = known !== undefined && now - freshMs < MAX_STALE_MS;
    if (mayGoOn && now < retryMs) return createLocalJWKSet(known)(header, token);
    try {
      const key = await remote(header, token);
      freshMs = now;
      return key;
    } catch (error) {
      if (isVerdict(error) || !mayGoOn) throw error;
      retryMs = now + cooldownMs;
      return createLocalJWKSet(known)(header, token);
    }
  };
}

/** The keys are known, and the assertion's is not among them or of no use. */
function isVerdict(error: unknown): boolean {
  return (
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JOSENotSupported
  );
}

/**
 * A key that `envoy-mcp-identity signing-key` has printed.
 * @throws TypeError when it is none
 */
export function backendKey(key: string | Uint8Array): Uint8Array {
  const bytes = typeof key === 'string' ? Buffer.from(key, 'base64url') : key;
  const isKey = bytes.length === 32 && (typeof key !== 'string' || /^[\w-]{43}=?\s*$/.test(key));
  if (!isKey) throw new TypeError('key must be the 32 bytes that `envoy-mcp-identity signing-key` prints in base64url');
  return bytes;
}

/** @throws TypeError when anybody on the way could put their own keys there */
export function keysUrl(text: string, allowHttp: boolean): URL {
  const url = new URL(text);
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && (isLoopback || allowHttp)))
    throw new TypeError('jwksUri must be https, or http on a loopback address; see allowHttp');
  return url;
}
