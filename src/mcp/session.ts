import type { Identity } from '../core/identity.ts';
import { identityKey } from '../core/identity.ts';
import type { Clock } from '../core/ports.ts';
import type { Sealer } from '../core/seal.ts';

/** What a bound `Mcp-Session-Id` holds. Nothing of it is stored anywhere else: any replica with the key can open it. */
export interface Session {
  /** The id that the backend gave. */
  readonly backendId: string;
  /** Whom it belongs to; null for anonymous callers. */
  readonly owner: {
    readonly issuer: string;
    readonly subject: string;
    readonly methodName: string;
    readonly authMethod: string;
  } | null;
  /** Milliseconds since the epoch. */
  readonly createdMs: number;
  /** The client declared URL-mode elicitation when it opened the session (MCP 2025-11-25). */
  readonly elicitationUrl: boolean;
  /** Passthrough values of the request that opened the session, on routes with `passthroughCapture: session`. */
  readonly captured?: readonly (readonly [name: string, value: string])[];
}

/** Longest sealed id, in characters: it travels in a header of every request. */
const MAX_SESSION_ID = 8 * 1024;

export interface Sessions {
  /** Seals for one backend. @throws RangeError when the id would be too long for a header */
  seal(session: Session, backend: string): string;
  /** The session behind an id a client sent; undefined for all that is not ours, of this backend and in time. */
  open(id: string, backend: string): Session | undefined;
}

/** @param maxAgeMs how long an id may be used, in milliseconds */
export function createSessions(sealer: Sealer, maxAgeMs: number, clock: Clock): Sessions {
  return {
    seal(session, backend) {
      const id = sealer.seal(JSON.stringify(session), [backend]);
      if (id.length > MAX_SESSION_ID) throw new RangeError('the session id would be too long');
      return id;
    },
    open(id, backend) {
      if (id.length > MAX_SESSION_ID) return undefined;
      const opened = sealer.open(id, [backend]);
      if (!opened.ok) return undefined;
      const session = JSON.parse(opened.plaintext.toString('utf8')) as Session;
      const age = clock.nowMs() - session.createdMs;
      return age <= maxAgeMs && age >= -CLOCK_TOLERANCE_MS ? session : undefined;
    },
  };
}

/** Clocks of replicas differ a little. */
const CLOCK_TOLERANCE_MS = 60_000;

/** True when the session belongs to this caller: same issuer and subject, whatever token says so today. */
export function belongsTo(session: Session, identity: Identity): boolean {
  if (identity.kind === 'anonymous') return session.owner === null;
  return session.owner !== null && identityKey(session.owner) === identityKey(identity);
}
