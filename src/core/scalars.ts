import { z } from 'zod';
import { SecretRef } from './secret.ts';

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** `250ms`, `30s`, `5m`, `1h`, as in Envoy; gives milliseconds. */
export const duration = () =>
  z
    .string()
    .regex(/^\d{1,9}(ms|s|m|h)$/, 'must be a duration such as 250ms, 30s, 5m or 1h')
    .meta({ title: 'duration' })
    .transform((text) => {
      const [, amount, unit] = /^(\d+)(ms|s|m|h)$/.exec(text) as unknown as [string, string, keyof typeof UNIT_MS];
      return Number(amount) * UNIT_MS[unit];
    });

const UNIT_BYTES = { B: 1, KiB: 1024, MiB: 1024 ** 2 } as const;

/** `512KiB`, `4MiB` or a plain number of bytes; gives bytes. */
export const byteSize = () =>
  z
    .union([z.string().regex(/^\d{1,9}(B|KiB|MiB)$/, 'must be a size such as 512KiB or 4MiB'), z.int().positive()])
    .meta({ title: 'size' })
    .transform((size) => {
      if (typeof size === 'number') return size;
      const [, amount, unit] = /^(\d+)(B|KiB|MiB)$/.exec(size) as unknown as [string, string, keyof typeof UNIT_BYTES];
      return Number(amount) * UNIT_BYTES[unit];
    });

/** RFC 9110 5.6.2: a header name is a token; kept as written. */
export const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/;
export const headerName = () =>
  z.string().regex(HEADER_NAME, 'must be a header name (RFC 9110 token)').meta({ title: 'header name' });

/** RFC 9110 5.5: visible characters, spaces inside; no CR, LF, NUL or bytes that proxies disagree about. */
export const HEADER_VALUE = /^[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?$/;
export const headerValue = () =>
  z
    .string()
    .regex(HEADER_VALUE, 'must be visible ASCII without leading or trailing spaces')
    .meta({ title: 'header value' });

/** A literal, `{env: NAME}` or `{file: PATH}`; read by the loader before anything uses it. */
export const secret = () =>
  z
    .union([
      z.string().min(1),
      z.strictObject({ env: z.string().min(1).describe('Name of an environment variable') }),
      z.strictObject({ file: z.string().min(1).describe('Path, relative to the config file') }),
    ])
    .meta({ title: 'secret' })
    .transform((source) => new SecretRef(typeof source === 'string' ? { literal: source } : source));

/** A host that never leaves the machine, as it stands in a URL. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** Why `text` may not be used as an endpoint of ours, or undefined when it may. */
export function urlFault(text: string, plainHttp = false): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) return 'must be an absolute https URL';
  if (url.username || url.password) return 'must not hold a user name or password';
  if (url.hash) return 'must not hold a fragment';
  if (url.protocol === 'http:' && !plainHttp && !isLoopback(url.hostname))
    return 'must be https (http is accepted on a loopback address only)';
  return undefined;
}

/** https, or http on a loopback address; no user info, no fragment. */
export const endpointUrl = () =>
  z
    .string()
    .superRefine((text, context) => {
      const fault = urlFault(text);
      if (fault) context.addIssue({ code: 'custom', message: fault });
    })
    .meta({ title: 'URL' });

/** RFC 6749 3.3: scope-token. */
export const scopeToken = () =>
  z
    .string()
    .regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'must be one scope, without spaces and quotes')
    .meta({ title: 'scope' });

/** Names people give to things in the config file; used in metrics, audit and assertions. */
export const entryName = () =>
  z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, dots, dashes and underscores')
    .meta({ title: 'name' });
