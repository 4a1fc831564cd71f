import type { Provider } from '../upstream/provider.ts';
import { beginConnect, beginSignIn, signInButton } from './connect-begin.ts';
import { atCallback } from './connect-callback.ts';
import type { ConnectDesk } from './connect-desk.ts';
import { single } from './connect-form.ts';
import type { Button } from './connect-layout.ts';
import { goTo, type Reply, sameUser, shown, type Visit } from './connect-visit.ts';

/** GET of a link: says what it is about. Nothing begins before its button is pressed, so whoever fetches it may. */
export function showLink(desk: ConnectDesk, visit: Visit, { name, scopes }: Provider): Reply {
  const ticket = single(visit.query, 'ticket');
  if (ticket === undefined) return goTo(desk.paths.accounts);
  const { person } = visit;
  const button = linkButton(desk, visit, name, ticket, person ? 'Connect' : 'Sign in and connect');
  return (
    wrongLink(desk, visit, name, ticket) ?? shown(desk.pages.link(name, scopes, person?.label, desk.signInAt, button))
  );
}

/** POST from the page of a link, or from the accounts page. */
export async function startConnect(desk: ConnectDesk, visit: Visit, provider: Provider): Promise<Reply> {
  const { form, person } = visit;
  const { name } = provider;
  const about = { event: 'connect', user: person, provider: name } as const;
  const ticket = single(form, 'ticket');
  if (ticket === undefined) {
    if (!person) return desk.refuse('signed_out', about, { button: signInButton(desk, visit) });
    if (!desk.accountForm(visit, person)) return desk.refuse('form_outdated', about);
    return beginConnect(desk, visit, person, provider);
  }
  const again = single(form, 'switch') === 'yes';
  const refused = wrongLink(desk, again ? { ...visit, person: undefined } : visit, name, ticket);
  if (refused) return refused;
  if (!desk.openForm(visit)) {
    // Two links opened at the same moment in a new browser: only one of the two cookies has stayed.
    const button = linkButton(desk, visit, name, ticket, 'Go on');
    return desk.refuse('form_outdated', about, { button });
  }
  return person && !again
    ? beginConnect(desk, visit, person, provider)
    : beginSignIn(desk, visit, { provider: name, ticket }, again);
}

/** Why this link is not for whoever is signed in; undefined while nobody is, because the sign-in will tell. */
function wrongLink(desk: ConnectDesk, visit: Visit, provider: string, text: string): Reply | undefined {
  const { person } = visit;
  const about = { event: 'connect', user: person, provider } as const;
  const ticket = desk.openTicket(text, provider);
  if (typeof ticket === 'string') return desk.refuse(ticket, about);
  if (!person || sameUser(ticket, person)) return undefined;
  const button = linkButton(desk, visit, provider, text, 'Sign in as somebody else', { switch: 'yes' });
  return desk.refuse('other_user', about, { button, signedInAs: person.label });
}

function linkButton(
  desk: ConnectDesk,
  visit: Visit,
  provider: string,
  ticket: string,
  label: string,
  more: Readonly<Record<string, string>> = {},
): Button {
  return desk.openButton(visit, { label, action: desk.paths.link(provider) }, { ticket, ...more });
}

/** The provider sends the person back. Fetched twice, ahead of time or by somebody else it does nothing. */
export function finishConnect(desk: ConnectDesk, visit: Visit, provider: Provider): Promise<Reply> {
  const about = { event: 'connect', user: visit.person, provider: provider.name } as const;
  return atCallback(desk, visit, provider.name, about, (state) => redeemConnect(desk, visit, provider, state));
}

async function redeemConnect(desk: ConnectDesk, visit: Visit, provider: Provider, state: string): Promise<Reply> {
  const { states, paths, accounts } = desk;
  const { query, known, person, signal } = visit;
  const { name } = provider;
  const party = { party: name };
  const asked = { event: 'connect', user: person, provider: name } as const;
  const redeemed = await states.redeem('connect', name, state, known, signal);
  if (!redeemed.ok) return desk.refuse(redeemed.fault, asked, party);

  const { user } = redeemed.flow;
  const about = { ...asked, user };
  if (!person || !sameUser(person, user)) return desk.refuse('user_changed', about, party);
  const input = { params: query, redirectUri: paths.callback(name), ...redeemed, expectedState: state };
  const outcome = await provider.exchangeCode(input, signal);
  if (outcome.kind === 'denied') return desk.refuse('declined', { ...about, detail: outcome.error }, party);
  if (outcome.kind === 'failed') return desk.failed(outcome, about, name);
  await accounts.connect(user, name, outcome.content, signal);
  return goTo(paths.done(name), [{ ...about, outcome: 'allow', reason: 'connected' }]);
}
