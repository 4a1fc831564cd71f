import { CompactSign, exportJWK, generateKeyPair, type JWK } from 'jose';
import { readCompactJws } from '../authn/compact-jws.ts';

export interface Resigned {
  readonly token: string;
  readonly jwks: { readonly keys: readonly JWK[] };
}

/**
 * Where no key can be asked for, the same header and payload under a signature of ours: so everything behind the
 * signature is judged by the code that judges it in the service, and nothing there has to know how to skip a check.
 * @returns undefined for what is no JWT, or signed in a way that is refused before its key is looked for
 */
export async function resign(token: string): Promise<Resigned | undefined> {
  const jws = readCompactJws(token);
  const alg = jws?.header['alg'];
  if (!jws || typeof alg !== 'string') return undefined;
  try {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    const payload = Buffer.from(token.split('.')[1] as string, 'base64url');
    const signed = await new CompactSign(payload).setProtectedHeader({ ...jws.header, alg }).sign(privateKey);
    const { kid } = jws.header;
    const key = { ...(await exportJWK(publicKey)), alg, ...(typeof kid === 'string' && { kid }) };
    return { token: signed, jwks: { keys: [key] } };
  } catch {
    return undefined;
  }
}
