import { carriesToken, error, type Rule } from '../rule.ts';

/** V-07: tokens are accepted, but for which server they must be issued is not said (RFC 8707, RFC 9728). */
export const resourceMissing: Rule = (policy, world) => {
  const method = policy.incomingAuth.find((name) => carriesToken(world.methods.get(name)?.type));
  if (policy.resource !== undefined || method === undefined) return [];
  return [
    error(
      'V-07',
      ['resource'],
      `the route accepts tokens (${method}), but has no \`resource\``,
      'add `resource`: the URL that clients use for this MCP server',
    ),
  ];
};

/** SCHEMA: RFC 9728 1.2: a URL without fragment; it stands in challenges, so nothing in it may end a quoted string. */
export const resourceForm: Rule = ({ resource }) => {
  if (resource === undefined) return [];
  const url = URL.parse(resource);
  const web = url?.protocol === 'https:' || url?.protocol === 'http:';
  if (web && !resource.includes('#') && /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(resource)) return [];
  return [
    error(
      'SCHEMA',
      ['resource'],
      'must be an absolute http(s) URL without fragment, spaces and quotes',
      'write the URL that clients use for this MCP server',
    ),
  ];
};
