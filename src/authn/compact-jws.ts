/** A JWT as it can be read before anybody has checked its signature: nothing in it is true yet. */
export interface CompactJws {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** RFC 7515 7.1; an unsecured one (`alg: none`) has an empty signature and is recognised, so that it can be refused as such. */
const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*$/;

/** @returns undefined when `token` is no compact JWS whose header and payload are JSON objects */
export function readCompactJws(token: string): CompactJws | undefined {
  const parts = COMPACT.exec(token);
  if (!parts) return undefined;
  const header = jsonObject(parts[1] as string);
  const payload = header && jsonObject(parts[2] as string);
  return payload && { header, payload };
}

function jsonObject(part: string): Record<string, unknown> | undefined {
  try {
    // fatal: replacement characters would make two tokens of one meaning, neither of which was signed
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(part, 'base64url')));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
