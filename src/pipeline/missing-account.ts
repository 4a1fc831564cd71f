import type { Deny } from '../core/decision.ts';
import type { Identity, User } from '../core/identity.ts';
import { type Refusal, refuse } from '../core/refusal.ts';
import type { RequestFacts } from '../core/request-facts.ts';
import { missingAnswer, onlyOpensOrLists } from '../mcp/elicitation.ts';
import type { McpMessage } from '../mcp/message.ts';
import type { StrategyOutcome } from '../strategies/strategy.ts';
import { answer, rpcAnswer } from './answer.ts';
import type { SessionReading } from './session-check.ts';

export type Unconnected = Extract<StrategyOutcome, { kind: 'unconnected' }>;

/** Makes the link to the page where this user connects an account at the provider. */
export type ConnectLink = (user: User, provider: string) => string;

/** What becomes of a request whose user has no account at the provider. */
export type MissingOutcome =
  | { readonly kind: 'deny'; readonly deny: Deny }
  /** It goes on without a credential; `onUnauthorized` is for a backend that wants one after all. */
  | { readonly kind: 'forward'; readonly onUnauthorized: Deny };

export const ACCOUNT_MISSING: Refusal = refuse('account_missing');

/** Contract §5, "Account not connected". */
export function settleMissing(
  outcome: Unconnected,
  facts: RequestFacts,
  identity: Identity,
  message: McpMessage | undefined,
  session: SessionReading,
  connectLink: ConnectLink,
): MissingOutcome {
  const link = identity.kind === 'user' ? connectLink(identity, outcome.provider) : undefined;
  const rpcId = message?.shape === 'request' ? message.idJson : undefined;
  const forbidden = answer(ACCOUNT_MISSING, { challenges: [], rpcId, ...(link === undefined ? {} : { url: link }) });
  const said =
    link === undefined
      ? undefined
      : missingAnswer({
          provider: outcome.provider,
          onMissing: outcome.onMissing,
          unconnected: outcome.unconnected,
          link,
          method: facts.method,
          version: facts.headers.get('mcp-protocol-version'),
          message,
          body: facts.body,
          sessionElicitsUrl: session.kind === 'presented' && session.presented.session.elicitationUrl,
        });
  const deny = said?.kind === 'result' ? rpcAnswer(said.body) : forbidden;
  const forward = outcome.unconnected === 'forward' && onlyOpensOrLists(facts.method, message);
  return forward ? { kind: 'forward', onUnauthorized: deny } : { kind: 'deny', deny };
}
