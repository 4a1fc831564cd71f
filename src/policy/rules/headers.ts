import { isCarried, isFraming, isRestrictedForPassthrough, normalise } from '../../core/header-names.ts';
import type { Problem } from '../../core/problem.ts';
import type { Path } from '../../core/schema-shape.ts';
import { HEADER_NAME } from '../../core/scalars.ts';
import { headersWritten, propagationPrefix } from '../header-rules.ts';
import { error, type Rule } from '../rule.ts';

/** V-10: what may not be passed through at all. */
export const passthroughNames: Rule = ({ passthroughHeaders }) => {
  const seen = new Set<string>();
  return passthroughHeaders.flatMap((name, i): Problem[] => {
    const path = ['passthroughHeaders', i];
    const refuse = (message: string, mend: string) => [error('V-10', path, message, mend)];
    if (!HEADER_NAME.test(name))
      return refuse('is not a header name (RFC 9110 token of at most 256 bytes)', 'correct the name');
    if (name.includes('_'))
      return refuse(
        'copies of a header spelled with `_` never reach a backend',
        `write \`${name.replaceAll('_', '-')}\``,
      );
    const normal = normalise(name);
    if (isCarried(normal)) return refuse(`\`${name}\` reaches every backend already`, 'leave it out');
    if (isRestrictedForPassthrough(normal)) return refuse(`\`${name}\` may not be passed through`, 'leave it out');
    if (seen.has(normal)) return refuse(`\`${name}\` stands here twice`, 'leave one out');
    seen.add(normal);
    return [];
  });
};

/** V-11: a passthrough name that the route itself writes, or reads a credential from. */
export const passthroughCollisions: Rule = (policy, world) => {
  const writers = new Map(headersWritten(policy).map((header) => [header.name, header.by]));
  const prefix = propagationPrefix(policy);
  const ownerOf = (name: string): string | undefined => {
    const writer =
      writers.get(name) ?? (prefix !== undefined && name.startsWith(prefix) ? 'identity propagation' : undefined);
    if (writer !== undefined || isRestrictedForPassthrough(name)) return writer; // of Authorization, V-10 says enough
    const reads = (method: string) => world.methods.get(method)?.headers.some((header) => normalise(header) === name);
    const method = policy.incomingAuth.find(reads);
    return method === undefined ? undefined : `the incoming method ${method}`;
  };
  return policy.passthroughHeaders.flatMap((name, i): Problem[] => {
    const owner = ownerOf(normalise(name));
    if (owner === undefined) return [];
    return [
      error(
        'V-11',
        ['passthroughHeaders', i],
        `\`${name}\` belongs to ${owner} on this route`,
        'a client must not set it; leave it out',
      ),
    ];
  });
};

/** V-11: a further claim under the name of an attribute: in `_meta` and in the assertion only one of them could stand. */
export const claimsBesideAttributes: Rule = ({ identityPropagation }) => {
  if (!identityPropagation) return [];
  const names: readonly string[] = identityPropagation.attributes;
  return Object.keys(identityPropagation.claims).flatMap((claim): Problem[] =>
    names.includes(claim) || RESERVED_CLAIMS.has(claim)
      ? [
          error(
            'V-11',
            ['identityPropagation', 'claims', claim],
            `${claim} is the name of an attribute or of a registered claim of the assertion`,
            'leave it out, or have the identity provider put it into a claim of another name',
          ),
        ]
      : [],
  );
};

/** What the assertion says of itself (RFC 7519 4.1; contract §4). */
const RESERVED_CLAIMS: ReadonlySet<string> = new Set([
  'iss',
  'aud',
  'sub',
  'iat',
  'exp',
  'jti',
  'htm',
  'htu',
  'body_sha256',
  'assertion',
]);

/** V-11: two parts of the policy that write the same header; only one of the values could arrive. */
export const writtenTwice: Rule = (policy) => {
  const first = new Map<string, string>();
  return headersWritten(policy).flatMap((header): Problem[] => {
    const other = first.get(header.name);
    if (other === undefined) {
      first.set(header.name, header.by);
      return [];
    }
    return [
      error(
        'V-11',
        header.path,
        `${header.by} writes \`${header.name}\`, and so does ${other}`,
        'let one of them write it',
      ),
    ];
  });
};

/** X-Forwarded-* headers that tell of the connection. Others of that name are a custom for users' attributes. */
const ABOUT_CONNECTION = /^x-forwarded-(for|proto|host|port|server|by|prefix|ssl|scheme|uri|method|client-cert)$/;

/** V-11: headers that belong to the connection, to Envoy, to MCP or to the client, and that no policy may write. */
export const unwritableHeaders: Rule = (policy) => {
  const signed = policy.outgoingAuth.type === 'aws_sts';
  return headersWritten(policy).flatMap(({ name, by, path }): Problem[] => {
    if (by.endsWith('aws_sts')) return [];
    const fault = (why: string) => [
      error('V-11', path, `${by} writes \`${name}\`, which ${why}`, 'choose another header'),
    ];
    const attribute =
      name.startsWith('x-forwarded-') && !ABOUT_CONNECTION.test(name) && !path.includes('headerForward');
    if (isCarried(name)) return fault('carries what the client or Envoy says');
    if (isFraming(name) && !attribute) return fault('belongs to the connection, to Envoy or to MCP');
    if (signed && name.startsWith('x-amz-')) return fault('belongs to the AWS signature');
    return [];
  });
};

/** V-13: values that look like credentials; Envoy shows its configuration to anyone on its admin port. */
export const secretHeaders: Rule = ({ headerForward, outgoingAuth }) => {
  const literals: [Path, string, string][] = Object.entries(headerForward.plaintext).map(([name, value]) => [
    ['headerForward', 'plaintext', name],
    name,
    value,
  ]);
  if (outgoingAuth.type === 'header_injection' && outgoingAuth.headerInjection.value !== undefined) {
    literals.push([
      ['outgoingAuth', 'headerInjection', 'value'],
      outgoingAuth.headerInjection.headerName,
      outgoingAuth.headerInjection.value,
    ]);
  }
  return literals.flatMap(([path, name, value]): Problem[] => {
    const byName = /^(proxy-)?authorization$|^(set-)?cookie$|(^|-)(api)?(key|token|secret|password)$/.test(
      normalise(name),
    );
    if (!byName && !/^(bearer|basic|token) /i.test(value)) return [];
    const message = `the value of \`${name}\` looks like a secret, and route metadata is no place for secrets`;
    return [
      error(
        'V-13',
        path,
        message,
        'put it under `secrets` in the config file and name it in `headerForward.secrets` or `headerInjection.secret`',
      ),
    ];
  });
};
