/** Nothing that the URL parser would quietly correct: white space, backslashes, letters beyond ASCII. */
const PLAIN_URL = /^https?:\/\/[\x21-\x5b\x5d-\x7e]+$/i;
/** RFC 3986 2.3. */
const UNRESERVED = /[A-Za-z0-9\-._~]/;

/**
 * A URL as RFC 9449 4.3 compares `htu`: without query and fragment, normalised by RFC 3986 6.2.2 and 6.2.3.
 * @returns undefined for what is no plain http or https URL
 */
export function normalUrl(text: string): string | undefined {
  // Not canParse: of hosts beyond 16 KiB it says yes, and the constructor throws (Node 24).
  const url = PLAIN_URL.test(text) ? URL.parse(text) : null;
  if (!url || url.username || url.password) return undefined;
  const { origin, pathname } = url;
  // RFC 3986 2.1: `%%66d` would become the escape `%fd`, which nobody has written.
  if (/%(?![0-9a-f]{2})/i.test(pathname)) return undefined;
  const path = pathname.replaceAll(/%[0-9a-f]{2}/gi, (escape) => {
    const letter = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
    return UNRESERVED.test(letter) ? letter : escape.toUpperCase();
  });
  return origin + path;
}

/**
 * The URL that a client has used, in that form.
 * @param origin what clients see; the request's own Host is whatever its sender likes
 * @param path of the request, with its query
 */
export function externalUrl(origin: string, path: string): string | undefined {
  const end = path.search(/[?#]/);
  return path.startsWith('/') ? normalUrl(origin + (end === -1 ? path : path.slice(0, end))) : undefined;
}
