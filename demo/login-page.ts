import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Provider } from 'oidc-provider';

interface AnyPerson {
  readonly sub: string;
  readonly name: string;
}

export interface LoginPageOptions<Person extends AnyPerson> {
  readonly title: string;
  /** By the name that a script chooses them with. */
  readonly people: ReadonlyMap<string, Person>;
  /** What of the scopes asked for this person may have at a resource (RFC 8707). */
  readonly allowed: (person: Person, asked: readonly string[]) => string[];
}

/**
 * The page where a person is chosen; choosing is signing in and consenting at once.
 * `GET /interaction/<uid>` shows it, `POST /interaction/<uid>` with the form field `user` finishes it,
 * which is also how the demo's scripts sign in.
 */
export function loginPage<Person extends AnyPerson>(provider: Provider, options: LoginPageOptions<Person>) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    try {
      if (request.method === 'POST') await finish(provider, options, request, response);
      else await show(provider, options, request, response);
    } catch (error) {
      // Mostly an interaction that is over: reloaded, or its cookie is another tab's.
      const reason = error instanceof Error ? error.message : 'unknown';
      response
        .writeHead(400, { 'content-type': 'text/plain' })
        .end(`This sign-in cannot go on (${reason}). Start again.\n`);
    }
  };
}

async function show<Person extends AnyPerson>(
  provider: Provider,
  { title, people }: LoginPageOptions<Person>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { params } = await provider.interactionDetails(request, response);
  const client = await provider.Client.find(textOf(params['client_id']));
  const buttons = [...people].map(
    ([user, person]) =>
      `<button name="user" value="${user}">${escapeHtml(person.name)} <small>${user}</small></button>`,
  );
  response.writeHead(200, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  });
  response.end(`<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title>
<style>body{font:1.1em system-ui;max-width:30em;margin:4em auto}button{font:inherit;display:block;width:100%;margin:.5em 0;padding:.7em}</style>
<h1>${title}</h1>
<p><b>${escapeHtml(client?.clientName ?? client?.clientId ?? 'A client')}</b> asks for <code>${escapeHtml(textOf(params['scope']) || 'nothing in particular')}</code>.
Who are you? No password is needed: this is a toy.</p>
<form method="post">${buttons.join('\n')}</form></html>
`);
}

async function finish<Person extends AnyPerson>(
  provider: Provider,
  { people, allowed }: LoginPageOptions<Person>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { params } = await provider.interactionDetails(request, response);
  const person = people.get(new URLSearchParams(await text(request)).get('user') ?? '');
  if (person === undefined) throw new Error('nobody was chosen');
  const grantId = await grantFor(provider, person.sub, (asked) => allowed(person, asked), params);
  await provider.interactionFinished(request, response, {
    login: { accountId: person.sub },
    consent: { grantId },
  });
}

/** A grant of what this person may have; the rest is recorded as refused, or the provider would ask for it again. */
async function grantFor(
  provider: Provider,
  accountId: string,
  allowedOf: (asked: string[]) => string[],
  params: Record<string, unknown>,
): Promise<string> {
  const asked = textOf(params['scope']).split(' ');
  const allowed = allowedOf(asked);
  const grant = new provider.Grant({ accountId, clientId: textOf(params['client_id']) });
  grant.addOIDCScope(asked);
  for (const resource of [params['resource'] ?? []].flat().map(String)) {
    grant.addResourceScope(resource, allowed);
    grant.rejectResourceScope(
      resource,
      asked.filter((scope) => !allowed.includes(scope)),
    );
  }
  return grant.save();
}

/** A parameter as text; oidc-provider leaves absent ones undefined. */
function textOf(parameter: unknown): string {
  return typeof parameter === 'string' ? parameter : '';
}

function escapeHtml(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
