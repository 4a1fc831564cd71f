import { credentialHeaderFault } from '../authn/credential-header.ts';
import { parsePasswordHash } from '../authn/password-hash.ts';
import type { IncomingMethodConfig } from '../authn/schema.ts';
import { isSubject } from '../authn/token-claims.ts';
import { PEER_FAULT, readPeer } from '../authn/trusted-peers.ts';
import type { Problem } from '../core/problem.ts';
import type { Path } from '../core/schema-shape.ts';
import type { Config } from './schema.ts';

type Found = readonly [path: Path, message: string, mend: string];

/** What methods of the right shape cannot work with: the service would stop at start and name only the first. */
export function methodProblems({ incomingAuth }: Config): Problem[] {
  return Object.entries(incomingAuth).flatMap(([name, method]) =>
    [...faultsOf(method)].map(
      ([path, message, mend]): Problem => ({
        code: 'SCHEMA',
        severity: 'error',
        file: '',
        path: ['incomingAuth', name, ...path],
        message,
        mend,
      }),
    ),
  );
}

function* faultsOf(method: IncomingMethodConfig): Iterable<Found> {
  switch (method.type) {
    case 'introspection':
      if (method.clientAuth !== 'none' && method.clientSecret === undefined)
        yield [['clientSecret'], `is required with clientAuth ${method.clientAuth}`, 'add it, or set clientAuth: none'];
      return;
    case 'api_key':
      yield* headerFaults(['header'], method.header);
      for (const [index, { subject }] of method.keys.entries()) yield* subjectFaults(['keys', index], subject);
      return;
    case 'basic':
      for (const [index, { username, passwordHash, subject }] of method.users.entries()) {
        const path = ['users', index];
        // RFC 7617 2: the first colon ends the user name.
        if (username.includes(':'))
          yield [[...path, 'username'], 'cannot hold a colon', 'write it as clients send it, without the password'];
        if (!parsePasswordHash(passwordHash))
          yield [
            [...path, 'passwordHash'],
            'is malformed, or too expensive to check',
            'use bcrypt with a cost of 4 to 15, or scrypt with at most N = 2^17, r = 8, p = 4',
          ];
        yield* subjectFaults(path, subject);
      }
      return;
    case 'trusted_proxy':
      yield* headerFaults(['userHeader'], method.userHeader);
      for (const [claim, header] of Object.entries(method.claimHeaders))
        yield* headerFaults(['claimHeaders', claim], header);
      for (const [index, entry] of method.trustedPeers.entries())
        if (readPeer(entry) === undefined)
          yield [
            ['trustedPeers', index],
            PEER_FAULT,
            'correct it; anything without an address is a certificate identity',
          ];
      return;
    default:
  }
}

function* headerFaults(path: Path, header: string): Iterable<Found> {
  const fault = credentialHeaderFault(header);
  if (fault !== undefined)
    yield [path, `cannot be used: ${fault}`, 'use a header that nothing else reads, such as x-api-key'];
}

function* subjectFaults(path: Path, subject: string): Iterable<Found> {
  if (!isSubject(subject)) yield [[...path, 'subject'], 'is too long or no valid text', 'use at most 1024 characters'];
}
