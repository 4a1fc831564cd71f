import type { Identity } from '../core/identity.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import type { ToolRule } from './tools.ts';

/** The part of a JSON-RPC message that authorisation looks at. */
export interface Call {
  readonly method: string | undefined;
  readonly name: string | undefined;
}

/**
 * May this caller make this call? Scopes of the route apply to everything, those of the tool beside them.
 * @returns the refusal, or undefined when nothing stands against it
 */
export function authorize(
  identity: Identity,
  call: Call | undefined,
  routeScopes: readonly string[],
  toolRule: (name: string) => ToolRule | undefined,
): Refusal | undefined {
  const rule = call?.method === 'tools/call' ? toolRule(call.name ?? '') : undefined;
  if (rule?.deny) return refuse('tool_denied');
  const needed = rule && rule.scopes.length > 0 ? [...new Set([...routeScopes, ...rule.scopes])] : routeScopes;
  if (needed.length === 0) return undefined;
  if (identity.kind === 'anonymous') return refuse('login_required');
  return needed.every((scope) => identity.scopes.has(scope))
    ? undefined
    : refuse('scope_missing', { scopes: needed, detail: `the call needs ${needed.join(' ')}` });
}
