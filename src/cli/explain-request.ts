import { isIP } from 'node:net';
import { z } from 'zod';
import { HEADER_NAME } from '../core/scalars.ts';
import type { Sent } from '../explain/finding.ts';
import { readBytes, WrongUsage } from './explain-input.ts';

/** What the flags say of the request. */
export interface RequestFlags {
  readonly urls: readonly string[];
  readonly method: string | undefined;
  readonly headers: readonly string[];
  readonly data: Buffer | undefined;
  /** Goes into Authorization. */
  readonly token: string | undefined;
  readonly peerAddress: string | undefined;
  readonly peerPrincipal: string | undefined;
  readonly requestFile: string | undefined;
}

const requestSchema = z.strictObject({
  method: z.string().optional(),
  url: z.string(),
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])).default({}),
  body: z.union([z.string(), z.record(z.string(), z.unknown()), z.array(z.unknown())]).optional(),
  peer: z.strictObject({ address: z.string().optional(), certSan: z.string().optional() }).optional(),
});

/** @throws WrongUsage */
export function readRequest(flags: RequestFlags): Sent {
  return flags.requestFile === undefined ? fromFlags(flags) : fromFile(flags.requestFile, flags);
}

function fromFlags(flags: RequestFlags): Sent {
  const [url, second] = flags.urls;
  if (url === undefined) throw new WrongUsage('say which request: a URL, or --request FILE');
  if (second !== undefined) throw new WrongUsage('one URL at a time');
  const lines = flags.headers.map(headerLine);
  const given = new Set(lines.map(([name]) => name));
  const headers = lines.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
  // What curl adds by itself; `-H 'Accept:'` takes it away.
  const byCurl: (readonly [string, string])[] = [['accept', '*/*']];
  if (flags.data) byCurl.push(['content-type', 'application/x-www-form-urlencoded']);
  return sentOf(
    url,
    flags.method ?? (flags.data ? 'POST' : 'GET'),
    [...byCurl.filter(([name]) => !given.has(name)), ...headers],
    flags.data,
    flags,
  );
}

function fromFile(file: string, flags: RequestFlags): Sent {
  if (flags.urls.length > 0 || flags.method !== undefined || flags.data)
    throw new WrongUsage('--request says URL, method and body: leave out the URL, -X and -d');
  let json: unknown;
  try {
    json = JSON.parse(readBytes(file, '--request').toString('utf8'));
  } catch (error) {
    if (error instanceof WrongUsage) throw error;
    throw new WrongUsage('--request: the file is no JSON');
  }
  const parsed = requestSchema.safeParse(json);
  if (!parsed.success) throw new WrongUsage(`--request: ${faultOf(parsed.error)}`);
  const { url, method, headers, body, peer } = parsed.data;
  const bytes = body === undefined ? undefined : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const pairs = Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((value) => checked(name, value)),
  );
  const added = flags.headers
    .map(headerLine)
    .flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
  return sentOf(url, method ?? (bytes ? 'POST' : 'GET'), [...pairs, ...added], bytes, {
    ...flags,
    peerAddress: flags.peerAddress ?? peer?.address,
    peerPrincipal: flags.peerPrincipal ?? peer?.certSan,
  });
}

/** Where it is and what is wanted there; never the value. */
function faultOf({ issues: [issue] }: z.ZodError): string {
  if (issue?.code === 'unrecognized_keys') return `${issue.keys.join(', ')}: no such key`;
  return `${issue?.path.join('.') || 'the file'}: ${issue?.code === 'invalid_type' ? `must be a ${issue.expected}` : 'is of the wrong kind'}`;
}

function sentOf(
  url: string,
  method: string,
  headers: readonly (readonly [string, string])[],
  body: Buffer | undefined,
  { token, peerAddress, peerPrincipal }: RequestFlags,
): Sent {
  const [, scheme, authority, target] = /^(https?):\/\/([^/?#\s@]+)([/?][^#\s]*)?(?:#.*)?$/i.exec(url) ?? [];
  if (scheme === undefined || authority === undefined || !URL.canParse(url))
    throw new WrongUsage('the URL must be such as https://mcp.example.com/github/mcp, without a user name in it');
  if (!HEADER_NAME.test(method)) throw new WrongUsage('the method is no HTTP method');
  if (token !== undefined && headers.some(([name]) => name === 'authorization'))
    throw new WrongUsage('the token is given twice: as Authorization, and by --token-file or --token-env');
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw new WrongUsage('the token holds characters that no header carries');
  if (peerAddress !== undefined && isIP(peerAddress) === 0) throw new WrongUsage('--peer must be an IP address');
  const known = peerAddress !== undefined || peerPrincipal !== undefined;
  return {
    method,
    scheme: scheme.toLowerCase() as Sent['scheme'],
    host: headers.find(([name]) => name === 'host')?.[1] ?? authority,
    path: target === undefined ? '/' : target.startsWith('?') ? `/${target}` : target,
    headers: token === undefined ? headers : [...headers, ['authorization', `Bearer ${token}`]],
    body,
    peer: known ? { address: peerAddress ?? '', principal: peerPrincipal ?? '' } : undefined,
  };
}

/** `Name: value`; `Name;` is an empty header and `Name:` takes one away, as in curl. */
function headerLine(line: string): readonly [name: string, value: string | undefined] {
  const [, name = '', separator, value = ''] = /^([^:;\s]+)([:;])\s*(.*)$/s.exec(line) ?? [];
  if (separator === undefined || (separator === ';' && value !== ''))
    throw new WrongUsage("a header is written -H 'Name: value'");
  const [lower, text] = checked(name, value);
  return [lower, separator === ':' && value === '' ? undefined : text];
}

function checked(name: string, value: string): readonly [string, string] {
  if (!HEADER_NAME.test(name)) throw new WrongUsage('a header has a name that is none');
  if (/(?!\t)\p{Cc}/u.test(value)) throw new WrongUsage(`the header ${name} holds line breaks or control characters`);
  // One character per byte, as Envoy hands headers over.
  return [name.toLowerCase(), Buffer.from(value.trim(), 'utf8').toString('latin1')];
}
