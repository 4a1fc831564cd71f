import type { RoutePolicy } from '../policy/route-policy.ts';

export interface ToolRule {
  readonly scopes: readonly string[];
  readonly deny: boolean;
}

/** Matches `name` against `pattern` where each `*` stands for any run of characters; linear in time. */
export function matchesPattern(pattern: string, name: string): boolean {
  const parts = pattern.split('*');
  const head = parts[0] as string;
  const tail = parts.at(-1) as string;
  if (parts.length === 1) return pattern === name;
  if (name.length < head.length + tail.length || !name.startsWith(head) || !name.endsWith(tail)) return false;
  let from = head.length;
  const end = name.length - tail.length;
  for (const part of parts.slice(1, -1)) {
    const at = name.indexOf(part, from);
    if (at === -1 || at + part.length > end) return false;
    from = at + part.length;
  }
  return true;
}

/**
 * Prepares `tools` of a route: an exact name wins, else the longest matching pattern. Patterns of equal length that
 * match together apply together: the stricter reading.
 */
export function prepareTools(tools: RoutePolicy['tools']): (name: string) => ToolRule | undefined {
  const exact = new Map<string, ToolRule>();
  const patterns: { pattern: string; rule: ToolRule }[] = [];
  for (const [name, rule] of Object.entries(tools)) {
    if (name.includes('*')) patterns.push({ pattern: name, rule });
    else exact.set(name, rule);
  }
  patterns.sort((a, b) => b.pattern.length - a.pattern.length);
  return (name) => {
    const rule = exact.get(name);
    if (rule) return rule;
    const first = patterns.findIndex(({ pattern }) => matchesPattern(pattern, name));
    if (first === -1) return undefined;
    const { length } = (patterns[first] as { pattern: string }).pattern;
    const equals = patterns
      .slice(first)
      .filter(({ pattern }) => pattern.length === length && matchesPattern(pattern, name));
    return { scopes: equals.flatMap((equal) => equal.rule.scopes), deny: equals.some((equal) => equal.rule.deny) };
  };
}
