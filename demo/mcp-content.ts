import type { IncomingHttpHeaders } from 'node:http';

/** What both demo backends offer; `mcp-legacy.ts` and `mcp-modern.ts` only differ in how they serve it. */
export const tools = {
  whoami: {
    description: 'Shows what reached this backend about the caller: headers, and _meta if any.',
  },
  echo: { description: 'Returns the text it was given.' },
  delete_repo: {
    description: 'Pretends to delete a repository. Nothing is ever deleted.',
  },
} as const;

export const about = {
  uri: 'demo://about',
  text: 'A demo backend: it believes its headers, so it must be reachable through Envoy only.',
} as const;

export function greeting(name: string): string {
  return `Greet ${name} in one friendly sentence.`;
}

export interface TextResult {
  [key: string]: unknown;
  content: { type: 'text'; text: string }[];
}

export function textResult(text: string): TextResult {
  return { content: [{ type: 'text', text }] };
}

/**
 * One line per header that can carry identity: `x-*`, `mcp-*`, and, masked, whatever is a credential.
 * `meta` is the request's `_meta`; the keys MCP reserves for itself are left out.
 */
export function describeCaller(headers: IncomingHttpHeaders, meta: Readonly<Record<string, unknown>> = {}): string {
  const lines = Object.entries(headers)
    .filter(([name]) => /^(x-|mcp-)/.test(name) || credentials.has(name))
    .map(([name, value]) => `${name}: ${credentials.has(name) ? mask(String(value)) : String(value)}`)
    .toSorted();
  const ownMeta = Object.entries(meta).filter(
    ([key]) => key !== 'progressToken' && !key.includes('modelcontextprotocol'),
  );
  if (ownMeta.length > 0) lines.push(`_meta: ${JSON.stringify(Object.fromEntries(ownMeta))}`);
  return lines.join('\n') || 'nothing: no identity, no credential';
}

const credentials = new Set(['authorization', 'cookie', 'dpop', 'proxy-authorization', 'x-api-key']);

function mask(value: string): string {
  const scheme = /^(\w+) /.exec(value)?.[1];
  return `${scheme === undefined ? '' : `${scheme} `}[${value.length} characters, not shown]`;
}
