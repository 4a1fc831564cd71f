import { isUtf8 } from 'node:buffer';
import { createHash, createHmac, hash } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import type { HeaderPair } from '../core/header-edits.ts';
import type { AwsCredentials } from './aws-sts-endpoint.ts';

/** What `signRequest` writes. */
export const SIGNATURE_HEADERS = [
  'authorization',
  'x-amz-date',
  'x-amz-security-token',
  'x-amz-content-sha256',
] as const;

/** What a request of a route is signed with, and for what. */
export interface AwsSigning {
  /** As the backend sees it: lower case, with a port where it is not the scheme's own. */
  readonly host: string;
  readonly region: string;
  readonly service: string;
  readonly credentials: AwsCredentials;
}

/** `AwsSigning` as a plan carries it, sealed. */
export interface SigningPlan extends Omit<AwsSigning, 'credentials'> {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

export interface SignableRequest {
  readonly method: string;
  readonly target: SignableTarget;
  /** The one content-type, undefined where there is none or more than one. */
  readonly contentType: string | undefined;
}

/** Path and query that every reader takes for the same. */
export interface SignableTarget {
  readonly path: string;
  readonly query: Readonly<Record<string, string[]>>;
  /** What goes over the wire: differs from what the client sent only in how it is percent-encoded. */
  readonly wire: string;
}

export function signingPlan({ host, region, service, credentials }: AwsSigning): SigningPlan {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const secrets = { secretAccessKey: secretAccessKey.reveal(), sessionToken: sessionToken.reveal() };
  return { host, region, service, accessKeyId, ...secrets };
}

/** The library copies all of them once for each: 7,000, which fit into a path, hold up the process for 20 seconds. */
const MAX_PARAMETERS = 256;

/**
 * Reads `:path` for signing. AWS decodes the query and encodes it again before it compares (SigV4, canonical request),
 * where implementations differ about `+` and about characters that need no encoding. So the query is sent in the one
 * form about which all agree, as the AWS SDKs do; `+` is a space, as in forms.
 * @param path latin-1 text, one character per byte
 * @returns undefined for what cannot be signed: dot segments, which the signature leaves out, so that it would be good
 * for another path than the route was chosen by; bytes that are not UTF-8; a query that authenticates by itself, or has
 * more parameters than are signed
 */
export function readTarget(path: string): SignableTarget | undefined {
  const bytes = Buffer.from(path, 'latin1');
  if (!path.startsWith('/') || !isUtf8(bytes)) return undefined;
  const [rawPath = '', ...rest] = bytes.toString('utf8').split('?');
  const signedPath = rawPath.replaceAll(/[^\x21-\x7e]+/g, encodeURIComponent);
  if (/(^|\/)\.\.?(\/|$)/.test(signedPath)) return undefined;
  const query: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  const pieces: string[] = [];
  for (const piece of rest.join('?').split('&')) {
    if (piece === '') continue;
    if (pieces.length === MAX_PARAMETERS) return undefined;
    const equals = piece.indexOf('=');
    const name = decoded(equals === -1 ? piece : piece.slice(0, equals));
    const value = equals === -1 ? '' : decoded(piece.slice(equals + 1));
    // X-Amz-Signature and its like sign a request without headers; the library would leave that one out.
    if (name === undefined || value === undefined || /^x-amz-/i.test(name)) return undefined;
    (query[name] ??= []).push(value);
    pieces.push(equals === -1 ? encoded(name) : `${encoded(name)}=${encoded(value)}`);
  }
  return { path: signedPath, query, wire: pieces.length === 0 ? signedPath : `${signedPath}?${pieces.join('&')}` };
}

/**
 * The headers that sign a request (AWS Signature Version 4), over the body as it leaves. Signed are the host,
 * content-type and the signature's own; what proxies on the way may add or change is not.
 */
export async function signRequest(
  plan: SigningPlan,
  { method, target, contentType }: SignableRequest,
  body: Uint8Array,
  nowMs: number,
): Promise<HeaderPair[]> {
  const { host, region, service, accessKeyId, secretAccessKey, sessionToken } = plan;
  const signer = new SignatureV4({
    credentials: { accessKeyId, secretAccessKey, sessionToken },
    region,
    service,
    sha256: Sha256,
    uriEscapePath: !service.startsWith('s3'), // S3 alone takes the path as it is
  });
  const contentSha256 = hash('sha256', body, 'hex');
  const { path, query } = target;
  const headers = {
    host,
    'x-amz-content-sha256': contentSha256,
    ...(contentType !== undefined && /^[\x20-\x7e]+$/.test(contentType) ? { 'content-type': contentType } : {}),
  };
  const request = { method, protocol: 'https:', hostname: host, path, query: { ...query }, headers };
  const signed = await signer.sign(request, { signingDate: new Date(nowMs) });
  return SIGNATURE_HEADERS.map((name) => [name, signed.headers[name] as string] as const);
}

/** SHA-256 and HMAC as the library wants them, by node:crypto. */
export class Sha256 {
  readonly #hash: ReturnType<typeof createHash | typeof createHmac>;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret));
  }

  update(data: Uint8Array): void {
    this.#hash.update(data);
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  reset(): void {
    throw new Error('a digest is made once');
  }
}

function bytesOf(source: string | ArrayBuffer | ArrayBufferView): Uint8Array {
  if (typeof source === 'string') return Buffer.from(source, 'utf8');
  return source instanceof ArrayBuffer
    ? new Uint8Array(source)
    : new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}

/** RFC 3986 2.3: everything but unreserved characters. */
function encoded(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
