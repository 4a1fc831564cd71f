/**
 * A claim as the text of a header (contract §4). Visible ASCII and inner spaces stay, except `%` and `,`; every other
 * byte of the UTF-8 form becomes `%XX`. Lists join their encoded items with `,`; objects are compact JSON.
 * @returns undefined where nothing should be sent: missing, null, empty, or text that is no valid Unicode
 */
export function encodeValue(value: unknown): string | undefined {
  if (Array.isArray(value)) {
    const items: string[] = [];
    for (const item of value) {
      const text = plainText(item);
      if (text !== undefined) items.push(encodeText(text));
    }
    return items.join(',') || undefined;
  }
  const text = plainText(value);
  return text ? encodeText(text) : undefined;
}

/** The UTF-8 text that `encodeText` made into `encoded`, for tests and for backends written in TypeScript. */
export function decodeText(encoded: string): string {
  return decodeURIComponent(encoded);
}

function plainText(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length === 0) return undefined;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  // A lone surrogate has no UTF-8 form: what would arrive is another text than the issuer signed.
  return text.isWellFormed() ? text : undefined;
}

const PLAIN = /^[\x21-\x24\x26-\x2b\x2d-\x7e](?:[\x20-\x24\x26-\x2b\x2d-\x7e]*[\x21-\x24\x26-\x2b\x2d-\x7e])?$/;

function encodeText(text: string): string {
  if (PLAIN.test(text)) return text;
  const bytes = Buffer.from(text, 'utf8');
  let first = 0;
  let last = bytes.length - 1;
  while (first < bytes.length && bytes[first] === 0x20) first++;
  while (last > first && bytes[last] === 0x20) last--;
  let encoded = '';
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    const innerSpace = byte === 0x20 && i > first && i < last;
    if (innerSpace || (byte > 0x20 && byte < 0x7f && byte !== 0x25 && byte !== 0x2c))
      encoded += String.fromCharCode(byte);
    else encoded += `%${byte < 16 ? '0' : ''}${byte.toString(16).toUpperCase()}`;
  }
  return encoded;
}
