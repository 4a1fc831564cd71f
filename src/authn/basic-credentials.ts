export interface BasicCredentials {
  readonly username: string;
  readonly password: string;
}

/** Characters of the encoded form that anybody looks at. */
const MAX_LENGTH = 4096;

/**
 * The user name and password of RFC 7617 2: base64 of UTF-8 text, divided at the first colon.
 *
 * One pair has one text only. Node reads base64 leniently, and what is remembered about a pair is found by its text.
 * @param value what stands behind `Basic`
 * @returns undefined when it is anything else, or holds control characters
 */
export function readBasicCredentials(value: string): BasicCredentials | undefined {
  if (value.length > MAX_LENGTH) return undefined;
  const bytes = Buffer.from(value, 'base64');
  if (bytes.toString('base64') !== value) return undefined;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
  const colon = text.indexOf(':');
  if (colon < 0 || /\p{Cc}/u.test(text)) return undefined;
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}
