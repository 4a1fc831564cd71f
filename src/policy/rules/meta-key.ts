import { error, type Rule } from '../rule.ts';

/** Keys of `params._meta` that belong to the protocol: progress (all revisions) and trace context (2026-07-28). */
const TAKEN: ReadonlySet<string> = new Set(['progressToken', 'traceparent', 'tracestate', 'baggage']);
const LABEL = '[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?';
const NAME = '[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?';
const META_KEY = new RegExp(`^(?:(${LABEL}(?:\\.${LABEL})*)/)?${NAME}$`);

/** V-14: a key of `_meta` that MCP keeps for itself, or that is none (MCP, General fields, `_meta`). */
export const metaKey: Rule = ({ identityPropagation }) => {
  if (!identityPropagation) return [];
  const { metaKey: key } = identityPropagation;
  const path = ['identityPropagation', 'metaKey'];
  const match = META_KEY.exec(key);
  if (!match || key.length > 256)
    return [
      error(
        'V-14',
        path,
        'is not a key that MCP allows in `_meta`',
        'use letters, digits, `-`, `_`, `.`, with a prefix such as `com.example/` if you like',
      ),
    ];
  const second = match[1]?.split('.')[1]?.toLowerCase();
  if (TAKEN.has(key) || second === 'mcp' || second === 'modelcontextprotocol') {
    return [
      error('V-14', path, `\`${key}\` is reserved by MCP`, 'choose another key, such as `user` or `com.example/user`'),
    ];
  }
  return [];
};
