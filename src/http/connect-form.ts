import type { IncomingMessage } from 'node:http';

/** Forms of ours hold a token and a ticket. */
const MAX_FORM_BYTES = 8 * 1024;

export type Form =
  | { readonly ok: true; readonly fields: URLSearchParams }
  | { readonly ok: false; readonly fault: 'form_type' | 'form_too_large' | 'form_broken' | 'cross_site' };

/**
 * The body of a form that one of our own pages has sent.
 * @param origin of our pages
 */
export async function readForm(request: IncomingMessage, origin: string): Promise<Form> {
  if (!fromOurPages(request, origin)) return { ok: false, fault: 'cross_site' };
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/x-www-form-urlencoded') return { ok: false, fault: 'form_type' };
  if (Number(request.headers['content-length'] ?? 0) > MAX_FORM_BYTES) return { ok: false, fault: 'form_too_large' };
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_FORM_BYTES) return { ok: false, fault: 'form_too_large' };
      chunks.push(chunk);
    }
  } catch {
    return { ok: false, fault: 'form_broken' }; // the sender is gone, or too slow
  }
  return { ok: true, fields: new URLSearchParams(Buffer.concat(chunks).toString('utf8')) };
}

/**
 * What the browser says about the page a form came from. `Origin` is `null` here, as it is from any page: ours have the
 * referrer policy `no-referrer` (Fetch, "append a request Origin header"); then `Sec-Fetch-Site` decides. A browser too
 * old for it still sends no SameSite cookie with another site's form, and without that the form's token does not fit.
 */
function fromOurPages({ headers }: IncomingMessage, origin: string): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin') return false;
  return headers.origin === undefined || headers.origin === 'null' || headers.origin === origin;
}

/** Fetched ahead of time by a browser or a mail program: nobody has opened it yet. */
export function speculative({ headers }: IncomingMessage): boolean {
  const { 'sec-purpose': standard, purpose, 'x-purpose': older, 'x-moz': firefox } = headers;
  return /prefetch|prerender|preview/i.test([standard, purpose, older, firefox].join(' '));
}

/** A parameter that stands there once; RFC 6749 3.1 allows no second one. */
export function single(params: URLSearchParams, name: string): string | undefined {
  const [value, ...more] = params.getAll(name);
  return more.length === 0 && value !== '' ? value : undefined;
}
