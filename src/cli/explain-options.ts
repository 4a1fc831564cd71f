import { parseArgs } from 'node:util';
import type { RouteWish } from '../explain/choose-route.ts';
import type { Sent } from '../explain/finding.ts';
import { readBytes, WrongUsage } from './explain-input.ts';
import { readRequest, type RequestFlags } from './explain-request.ts';

export const EXPLAIN_HELP = `envoy-mcp-identity explain --config sidecar.yaml [--envoy envoy.yaml] [flags] URL
envoy-mcp-identity explain --config sidecar.yaml [--envoy envoy.yaml] --request file.json

Says what would become of a request, and why: the route, each check, what the backend would
get or the client would hear. It decides by the code of the service and changes nothing:
nothing is refreshed, exchanged, recorded or written. No token or secret is printed.

  --config FILE        the configuration file
  --envoy FILE         an Envoy bootstrap, or a saved answer of the admin address
                       /config_dump; default: envoy.bootstrap of the configuration

The request, as curl takes it:
  -X METHOD            default: GET, or POST with -d
  -H 'NAME: VALUE'     may be repeated
  -d, --data DATA      the body; @FILE reads one without its line breaks. As in curl the
                       content-type is that of a form unless -H says another
  --data-raw DATA      the same, without @
  --data-binary DATA   the same, with every byte of @FILE
  --token-file FILE    a bearer token, kept out of the history of your shell
  --token-env NAME     the same, from an environment variable
  --request FILE       JSON instead of all these: {"method", "url", "headers": {name: value
                       or list}, "body": text or JSON, "peer": {"address", "certSan"}}
  --peer ADDRESS       who connects to Envoy
  --peer-cert-san SAN  principal of the certificate by which they connect

How it is judged:
  --route NAME         take this route, whatever Envoy would match
  --backend NAME       take the route whose policy has this backend
  --listener NAME      name or port of the listener, where several take the request
  --at TIME            as of then, such as 2026-03-01T12:00:00Z; default: now
  --offline            ask nobody; without keys nothing is called allowed
  --jwks FILE          with --offline: the keys (a JWK Set) that tokens are signed with
  --vault              look into the vault, reading only, for the account of the user
  --json               print one JSON object instead of text

By default the identity provider is asked for keys, and about opaque tokens, as the service
does. Ends with 0 when the request would pass, 1 when it would be refused, 2 on wrong usage
or a wrong configuration, 3 when it cannot be told.
`;

export interface ExplainOptions {
  readonly config: string;
  readonly envoy: string | undefined;
  readonly wish: RouteWish;
  readonly sent: Sent;
  readonly atMs: number;
  readonly offline: { readonly jwks: unknown } | undefined;
  readonly looksIntoVault: boolean;
  readonly json: boolean;
}

/** @throws WrongUsage */
export function readExplainOptions(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  nowMs: number,
): ExplainOptions | 'help' {
  const { values, positionals } = parse(argv);
  if (values.help) return 'help';
  if (!values.config) throw new WrongUsage('--config is missing');
  if (values.jwks !== undefined && !values.offline) throw new WrongUsage('--jwks is for --offline');
  const flags: RequestFlags = {
    urls: positionals,
    method: values.method,
    headers: values.header,
    data: dataIn(argv),
    token: tokenOf(values['token-file'], values['token-env'], env),
    peerAddress: values.peer,
    peerPrincipal: values['peer-cert-san'],
    requestFile: values.request,
  };
  return {
    config: values.config,
    envoy: values.envoy,
    wish: { route: values.route, backend: values.backend, listener: values.listener },
    sent: readRequest(flags),
    atMs: values.at === undefined ? nowMs : timeOf(values.at),
    offline: values.offline ? { jwks: values.jwks === undefined ? undefined : jwksIn(values.jwks) } : undefined,
    looksIntoVault: values.vault,
    json: values.json,
  };
}

const OPTIONS = {
  config: { type: 'string' },
  envoy: { type: 'string' },
  method: { type: 'string', short: 'X' },
  header: { type: 'string', short: 'H', multiple: true, default: [] as string[] },
  data: { type: 'string', short: 'd', multiple: true },
  'data-raw': { type: 'string', multiple: true },
  'data-binary': { type: 'string', multiple: true },
  'token-file': { type: 'string' },
  'token-env': { type: 'string' },
  request: { type: 'string' },
  peer: { type: 'string' },
  'peer-cert-san': { type: 'string' },
  route: { type: 'string' },
  backend: { type: 'string' },
  listener: { type: 'string' },
  at: { type: 'string' },
  offline: { type: 'boolean', default: false },
  jwks: { type: 'string' },
  vault: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true, tokens: true });
  } catch (error) {
    throw new WrongUsage(error instanceof Error ? error.message : 'wrong usage');
  }
}

/** All kinds of `--data`, in the order in which they stand. */
function dataIn(argv: readonly string[]): Buffer | undefined {
  const parts = parse(argv).tokens.flatMap((token) => {
    if (token.kind !== 'option' || !token.name.startsWith('data')) return [];
    const value = token.value ?? '';
    if (token.name === 'data-raw' || !value.startsWith('@')) return [Buffer.from(value)];
    const bytes = readBytes(value.slice(1), `--${token.name}`);
    // As curl does.
    return [token.name === 'data' ? Buffer.from(bytes.filter((byte) => byte !== 0x0a && byte !== 0x0d)) : bytes];
  });
  const [first, ...rest] = parts;
  return first && Buffer.concat([first, ...rest.flatMap((part) => [Buffer.from('&'), part])]);
}

function tokenOf(
  file: string | undefined,
  name: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  if (file !== undefined && name !== undefined) throw new WrongUsage('give --token-file or --token-env, not both');
  const text = file !== undefined ? readBytes(file, '--token-file').toString('utf8') : name && env[name];
  if (file === undefined && name === undefined) return undefined;
  const token = text?.trim();
  if (!token)
    throw new WrongUsage(file === undefined ? `--token-env: ${name} is not set` : '--token-file: the file is empty');
  return token;
}

function timeOf(text: string): number {
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) throw new WrongUsage('--at must be a time with its zone, such as 2026-03-01T12:00:00Z');
  return ms;
}

function jwksIn(file: string): unknown {
  const text = readBytes(file, '--jwks').toString('utf8');
  try {
    const jwks = JSON.parse(text) as { keys?: unknown };
    if (Array.isArray(jwks.keys)) return jwks;
  } catch {
    // told below
  }
  throw new WrongUsage('--jwks: the file is no JWK Set: {"keys": […]}');
}
