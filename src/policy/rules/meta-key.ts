import { metaKeyFault } from '../../mcp/meta.ts';
import { error, type Rule } from '../rule.ts';

/** V-14: a key of `_meta` that MCP keeps for itself, or that is none. */
export const metaKey: Rule = ({ identityPropagation }) => {
  const fault = identityPropagation && metaKeyFault(identityPropagation.metaKey);
  if (!fault) return [];
  return [
    error(
      'V-14',
      ['identityPropagation', 'metaKey'],
      fault,
      'choose another key, such as `user` or `com.example/user`',
    ),
  ];
};
