import type { Egress, EgressFetch } from '../net/egress.ts';
import { EgressError } from '../net/egress-error.ts';
import { assumedRole, exchangeAnswer } from './dry-answers.ts';
import type { Notebook } from './finding.ts';

export interface DryEgressParts {
  /** For questions that change nothing at the other end; undefined: nobody is asked. */
  readonly real: Egress | undefined;
  /** The JWK Set that stands in for those of all issuers while nobody is asked. */
  readonly jwks: (() => unknown) | undefined;
  /** Issuers of the configuration, whose metadata documents are made up while nobody is asked. */
  readonly issuers: readonly string[];
  readonly nowMs: () => number;
  readonly notebook: Notebook;
}

/** What only reads: a running service asks for the same. */
const READS: ReadonlySet<string> = new Set(['discovery', 'jwks', 'introspection']);

/**
 * The door out, with nothing behind it that could change anything: keys and introspection are asked for, unless nobody
 * is to be asked; exchanges and roles are answered here, as if all went well, and noted.
 */
export function createDryEgress(parts: DryEgressParts): Egress {
  const { real, notebook } = parts;
  const forPurpose: Egress['for'] = (purpose, limits) => {
    const ask = real && READS.has(purpose) ? real.for(purpose, limits) : undefined;
    return ask ? told(purpose, ask, notebook) : (url, request) => answer(purpose, url, String(request.body), parts);
  };
  return { fetch: forPurpose('other'), for: forPurpose };
}

function told(purpose: string, ask: EgressFetch, notebook: Notebook): EgressFetch {
  return async (url, request) => {
    const place = withoutQuery(url);
    try {
      const response = await ask(url, request);
      notebook.step('network', 'note', `asked ${place} (${purpose}): ${response.status}`);
      return response;
    } catch (error) {
      notebook.step('network', 'note', `asked ${place} (${purpose}): ${(error as Error).message}`);
      throw error;
    }
  };
}

async function answer(purpose: string, url: string, body: string, parts: DryEgressParts): Promise<Response> {
  const { notebook } = parts;
  const place = withoutQuery(url);
  switch (purpose) {
    case 'token_exchange':
      notebook.assume('strategy', `would exchange the token at ${place}; taken as if it gave what is asked for`, true);
      return exchangeAnswer(body);
    case 'token_exchange_actor':
      notebook.assume('strategy', `would fetch a token of the service itself at ${place}; taken as if it came`, true);
      return exchangeAnswer(body);
    case 'aws_sts':
      notebook.assume('strategy', `would assume ${roleIn(body)} at ${place}; taken as if AWS allowed it`, true);
      return assumedRole(parts.nowMs());
    case 'discovery': {
      const issuer = parts.issuers.find((one) => url === `${one.replace(/\/$/, '')}/.well-known/openid-configuration`);
      if (issuer === undefined || !parts.jwks) break;
      return Response.json({ issuer, jwks_uri: `${issuer.replace(/\/$/, '')}/jwks` });
    }
    case 'jwks':
      if (parts.jwks) return Response.json(parts.jwks());
      break;
    default:
  }
  throw new EgressError('network', `${place} was not asked`);
}

function roleIn(body: string): string {
  return new URLSearchParams(body).get('RoleArn') ?? 'a role';
}

function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
