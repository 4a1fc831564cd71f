import { hash } from 'node:crypto';
import { whenReady } from '../core/maybe-promise.ts';
import type { Tools } from '../core/ports.ts';
import { refuse } from '../core/refusal.ts';
import { Secret } from '../core/secret.ts';
import type { Egress } from '../net/egress.ts';
import { failed } from '../upstream/provider-failure.ts';
import type { Refresher } from '../upstream/refresher.ts';
import type { TokenExchangeClientConfig } from '../upstream/schema.ts';
import { CredentialCache, type Obtained } from './credential-cache.ts';
import { CredentialReport } from './credential-report.ts';
import { type AskedToken, judgeAnswer } from './exchange-answer.ts';
import { type EndpointAnswer, ExchangeEndpoint } from './exchange-endpoint.ts';
import { exchangeRefusal, failureText } from './exchange-refusal.ts';
import type { OutgoingAuthOf } from './schema.ts';
import type { OutgoingStrategy, StrategyOutcome } from './strategy.ts';
import { incomingToken, type Subject, upstreamToken } from './subject-token.ts';
import { lifeOf } from './token-life.ts';

/** What comes back when a backend has refused an exchanged token. */
interface RefusedToken {
  readonly strategy: 'token_exchange';
  readonly key: string;
  /** Digest of the token: a newer one under the same key stays. */
  readonly token: string;
}

interface Issued {
  readonly outcome: StrategyOutcome;
  readonly token: string;
}

/** For our own token and the exchange; egress gives each call 5 s. */
const EXCHANGE_LIMIT_MS = 11_000;
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

interface Exchange {
  readonly endpoint: ExchangeEndpoint;
  readonly report: CredentialReport;
}

/** The RFC 8693 endpoints of the configuration, and what they have issued. */
export class TokenExchanges {
  readonly cache: CredentialCache<Issued>;
  readonly #exchanges: ReadonlyMap<string, Exchange>;

  /** @throws when a client cannot prove itself as configured; says which */
  constructor(configs: Readonly<Record<string, TokenExchangeClientConfig>>, tools: Tools, egress: Egress) {
    this.cache = new CredentialCache('token_exchange', EXCHANGE_LIMIT_MS, tools);
    this.#exchanges = new Map(
      Object.entries(configs).map(([name, config]) => [
        name,
        {
          endpoint: new ExchangeEndpoint(name, config, tools, egress),
          report: new CredentialReport('mcp_identity_token_exchanges_total', 'Token exchanges', name, tools),
        },
      ]),
    );
  }

  /** @throws when there is none of that name */
  get(name: string): Exchange {
    const found = this.#exchanges.get(name);
    if (!found) throw new Error(`tokenExchange names ${name}, which is not available`);
    return found;
  }

  /**
   * A backend has refused a token of ours: it is not used again. Other replicas that hold the same one learn it from
   * their own backends' answers.
   * @param what what a plan carries back; anything but ours is ignored
   */
  invalidate(what: unknown): void {
    const { strategy, key, token } = (what ?? {}) as Partial<RefusedToken>;
    if (strategy === 'token_exchange' && key !== undefined) this.cache.drop(key, (kept) => kept.token === token);
  }
}

/**
 * A token for the backend's own audience, issued for the user's token by RFC 8693 (R12).
 *
 * Kept per user, subject token and everything that is asked for, so that two users, or a narrow and a broad request,
 * never share one; for no longer than the subject token lives.
 * @throws when the exchange or the provider does not exist; validation says so first (V-01, V-02, V-12)
 */
export function createTokenExchange(
  policy: OutgoingAuthOf<'token_exchange'>,
  exchanges: TokenExchanges,
  refresher: Refresher | undefined,
  { clock }: Tools,
): OutgoingStrategy {
  const { exchange, subjectProviderName, resource = [], scopes = [], requestedTokenType } = policy.tokenExchange;
  const { subjectTokenType = ACCESS_TOKEN, actor } = policy.tokenExchange;
  const { endpoint, report } = exchanges.get(exchange);
  const audience = endpoint.audienceOf(policy.tokenExchange.audience);
  const { cache } = exchanges;
  const findSubject =
    subjectProviderName === undefined ? incomingToken(clock) : upstreamToken(subjectProviderName, 'forward', refresher);
  /** Everything of a request that the policy says; the text ends where it ends, so that more may follow. */
  const shape = JSON.stringify([
    endpoint.identity,
    audience ?? null,
    resource,
    scopes,
    subjectTokenType,
    requestedTokenType ?? null,
    actor,
  ]);
  /** The object of a token belongs to one user, and so does the key that is made from it. */
  const keys = new WeakMap<Secret, string>();
  const keyOf = ({ user, source, token }: Subject): string => {
    let key = keys.get(token);
    if (key === undefined) {
      const whose = JSON.stringify([source, user.issuer, user.subject, token.reveal()]);
      key = hash('sha256', shape + whose, 'base64url');
      keys.set(token, key);
    }
    return key;
  };

  const parametersFor = (subject: Subject, actorToken: Secret | undefined): URLSearchParams => {
    const parameters = new URLSearchParams({
      subject_token: subject.token.reveal(),
      subject_token_type: subjectTokenType,
    });
    if (audience !== undefined) parameters.set('audience', audience);
    for (const one of resource) parameters.append('resource', one);
    if (scopes.length > 0) parameters.set('scope', scopes.join(' '));
    if (requestedTokenType !== undefined) parameters.set('requested_token_type', requestedTokenType);
    if (actorToken) {
      parameters.set('actor_token', actorToken.reveal());
      parameters.set('actor_token_type', ACCESS_TOKEN);
    }
    return parameters;
  };

  const ask = async (subject: Subject, limit: AbortSignal): Promise<EndpointAnswer> => {
    if (actor === 'none') return endpoint.exchange(parametersFor(subject, undefined), limit);
    const self = await endpoint.self(limit);
    if (self.kind === 'token') return endpoint.exchange(parametersFor(subject, self.token), limit);
    // Whatever was wrong with a request about ourselves, it is not the user's token.
    return self.fault === 'rejected'
      ? failed('client_rejected', self.error === undefined ? {} : { error: self.error })
      : self;
  };

  const exchanged = async (subject: Subject, key: string, limit: AbortSignal): Promise<Obtained<Issued>> => {
    const called = await ask(subject, limit);
    if (called.kind === 'failed') {
      const refused = exchangeRefusal(called, subject);
      report.ended(called.fault);
      if (called.fault === 'rejected') {
        if (actor === 'self') endpoint.forgetSelf();
      } else report.trouble('a token exchange gave no token', failureText(called));
      return refused;
    }
    const { answer, sentAtMs } = called;
    const subjectToken = subject.token.reveal();
    const asked: AskedToken = { subjectToken, audience, resource, requestedTokenType, actor: actor === 'self' };
    const fault = judgeAnswer(answer, asked, sentAtMs, clock.nowMs());
    report.ended(fault ?? 'issued');
    if (fault) {
      report.trouble('a token exchange gave a token that is not what was asked for', fault);
      return { kind: 'refused', refusal: refuse('exchange_answer_invalid', { detail: fault }), definite: true };
    }
    const { access_token: text, expires_in: expiresInSeconds } = answer;
    const untilMs = Math.min(lifeOf(text, expiresInSeconds, sentAtMs).untilMs, (subject.expiresAt ?? Infinity) * 1_000);
    return { kind: 'obtained', value: issued(key, text), untilMs, length: text.length };
  };

  return {
    credential: (identity, signal) =>
      whenReady(findSubject(identity, signal), (subject) => {
        if (subject.kind !== 'subject') return subject;
        const key = keyOf(subject);
        return whenReady(
          cache.obtain(key, key, signal, (limit) => exchanged(subject, key, limit)),
          (obtained): StrategyOutcome =>
            obtained.kind === 'obtained' ? obtained.value.outcome : { kind: 'refused', refusal: obtained.refusal },
        );
      }),
  };
}

function issued(key: string, text: string): Issued {
  const token = hash('sha256', text, 'base64url');
  const invalidate: RefusedToken = { strategy: 'token_exchange', key, token };
  const headers = [['authorization', new Secret(`Bearer ${text}`)]] as const;
  return { outcome: { kind: 'write', headers, credential: { invalidate } }, token };
}
