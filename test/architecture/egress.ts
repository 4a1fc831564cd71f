import { lineAt, type ScannedSource } from './imports.ts';
import type { Violation } from './violation.ts';

/**
 * One door out: only `src/net` makes HTTP requests. Calls of the global `fetch` and of Node's clients are
 * found here; `fetch` handed on as a value is the linter's part (no-restricted-globals knows about scopes).
 */
const CLIENTS: Readonly<Record<string, readonly string[]>> = {
  http: ['request', 'get', 'Agent', 'ClientRequest'],
  https: ['request', 'get', 'Agent'],
  http2: ['connect'],
};

const CLIENT_PACKAGES = ['undici', 'axios', 'got', 'ky', 'node-fetch', 'superagent', 'ws', 'eventsource'];

export function findEgress(source: ScannedSource): Violation[] {
  if (source.path.startsWith('src/net/')) return [];
  const { path } = source;
  const positions = [...globalCalls(source.code), ...memberCalls(source)].map((index) => lineAt(source.code, index));
  const lines = [...positions, ...importedClients(source)];
  return lines.map((line) => ({ path, line, problem: 'makes HTTP requests: only src/net may' }));
}

function globalCalls(code: string): number[] {
  const calls = [...code.matchAll(/(?<![.\w$#])(?:fetch|new\s+(?:WebSocket|EventSource|XMLHttpRequest))\s*\(/g)];
  const members = [...code.matchAll(/(?<![\w$])(?:globalThis|global)\s*\??\.\s*fetch\b/g)];
  return [...calls.filter((call) => !isDefinition(code, call)), ...members].map(({ index }) => index);
}

/** `fetch(url: string): Promise<Response>` in an interface, `fetch(url) { … }` in an object. */
function isDefinition(code: string, { 0: text, index }: RegExpExecArray): boolean {
  let depth = 1;
  let end = index + text.length;
  for (; end < code.length && depth > 0; end += 1) {
    if (code[end] === '(') depth += 1;
    if (code[end] === ')') depth -= 1;
  }
  return /(?:[{};,]|\basync|\bfunction)\s*$/.test(code.slice(0, index)) && /^\s*[:{]/.test(code.slice(end));
}

/** `http.request(…)` where `http` is the module. */
function memberCalls({ code, imports }: ScannedSource): number[] {
  return imports.flatMap(({ from, clause }) => {
    const clients = clientsOf(from);
    const name = /(?:\*\s*as\s+|^)([\w$]+)\s*(?:,|$)/.exec(clause)?.[1];
    if (!clients || !name || clause.startsWith('type ')) return [];
    const use = new RegExp(`(?<![.\\w$])${name.replaceAll('$', '\\$')}\\s*\\??\\.\\s*(?:${clients.join('|')})\\b`, 'g');
    return [...code.matchAll(use)].map(({ index }) => index);
  });
}

/** Lines of imports that bring a client in by name, types aside. */
function importedClients({ imports }: ScannedSource): number[] {
  const isClient = (from: string | undefined, clause: string): boolean => {
    if (clause.startsWith('type ')) return false;
    if (from !== undefined && CLIENT_PACKAGES.includes(from)) return true;
    const names =
      /\{([^}]*)\}/
        .exec(clause)?.[1]
        ?.split(',')
        .map((name) => name.trim().split(/\s+/)[0] ?? '') ?? [];
    return names.some((name) => clientsOf(from)?.includes(name));
  };
  return imports.filter(({ from, clause }) => isClient(from, clause)).map(({ line }) => line);
}

function clientsOf(from: string | undefined): readonly string[] | undefined {
  const module = from?.replace(/^node:/, '') ?? '';
  return Object.hasOwn(CLIENTS, module) ? CLIENTS[module] : undefined;
}
