import type { Clock } from '../core/ports.ts';
import type { Sealer } from '../core/seal.ts';

/** Whom a connect link was made for, and for which provider. */
export interface Ticket {
  readonly issuer: string;
  readonly subject: string;
  readonly provider: string;
}

/** How long a connect link may be used, in milliseconds (contract §5). */
export const TICKET_LIFE_MS = 10 * 60 * 1000;

/** Sealed, short-lived notes inside connect links. A ticket identifies nobody: who opens the link still has to sign in. */
export interface Tickets {
  issue(ticket: Ticket): string;
  /** @returns undefined for texts that are not ours, and `expired` for those whose time is over */
  open(text: string): Ticket | 'expired' | undefined;
}

/** @param sealer for the purpose `ticket`, with keys that all replicas share */
export function createTickets(sealer: Sealer, clock: Clock): Tickets {
  return {
    issue: ({ issuer, subject, provider }) =>
      sealer.seal(JSON.stringify({ issuer, subject, provider, until: clock.nowMs() + TICKET_LIFE_MS }), []),
    open(text) {
      const opened = sealer.open(text, []);
      if (!opened.ok) return undefined;
      const { until, ...ticket } = JSON.parse(opened.plaintext.toString('utf8')) as Ticket & { until: number };
      return clock.nowMs() > until ? 'expired' : ticket;
    },
  };
}

/** The page where the user connects an account. @param publicUrl without a trailing slash */
export function connectLink(publicUrl: string, provider: string, ticket: string): string {
  return `${publicUrl}/connect/${encodeURIComponent(provider)}?ticket=${ticket}`;
}
