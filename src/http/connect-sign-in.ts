import { beginConnect, beginSignIn, signInButton } from './connect-begin.ts';
import { atCallback } from './connect-callback.ts';
import type { ConnectDesk } from './connect-desk.ts';
import { goTo, type Reply, sameUser, shown, type Visit } from './connect-visit.ts';

/** POST from the page that asks to sign in. */
export async function startSignIn(desk: ConnectDesk, visit: Visit): Promise<Reply> {
  if (!desk.openForm(visit))
    return desk.refuse('form_outdated', { event: 'sign_in' }, { button: signInButton(desk, visit) });
  return beginSignIn(desk, visit, undefined, false);
}

/** The login issuer sends the person back. Fetched twice, ahead of time or by somebody else it does nothing. */
export function finishSignIn(desk: ConnectDesk, visit: Visit): Promise<Reply> {
  return atCallback(desk, visit, desk.signInAt, { event: 'sign_in' }, (state) => redeemSignIn(desk, visit, state));
}

async function redeemSignIn(desk: ConnectDesk, visit: Visit, state: string): Promise<Reply> {
  const { states, login, paths, cookies, signInAt } = desk;
  const { query, known, browser, signal } = visit;
  const event = 'sign_in' as const;
  const redeemed = await states.redeem('sign_in', undefined, state, known, signal);
  if (!redeemed.ok) return desk.refuse(redeemed.fault, { event });

  const { link } = redeemed.flow;
  const { codeVerifier, nonce } = redeemed;
  const input = { params: query, redirectUri: paths.signInCallback, state, codeVerifier, nonce };
  const outcome = await login.finish(input, signal);
  const about = { event, provider: link?.provider };
  if (outcome.kind === 'denied') return desk.refuse('declined', { ...about, detail: outcome.error });
  if (outcome.kind === 'failed') return desk.failed(outcome, about, signInAt);

  const { person } = outcome;
  const session = cookies.forPerson(person, browser);
  if (session === undefined) return desk.refuse('subject_too_long', { ...about, user: person });
  const told = [{ ...about, outcome: 'allow', reason: 'signed_in', user: person } as const];
  const signedIn = [session];
  if (!link) return goTo(paths.accounts, told, signedIn);
  const ticket = desk.openTicket(link.ticket, link.provider);
  const provider = desk.providers.get(link.provider);
  // The link's own page says what is wrong with it, or that it was made for somebody else.
  if (!provider || typeof ticket === 'string' || !sameUser(ticket, person))
    return goTo(`${paths.link(link.provider)}?ticket=${encodeURIComponent(link.ticket)}`, told, signedIn);
  const next = await beginConnect(desk, visit, person, provider);
  return { ...next, told: [...told, ...next.told], cookies: [...signedIn, ...next.cookies] };
}

/** Ends the sign-in here; at the login issuer it goes on. */
export function signOut(desk: ConnectDesk, visit: Visit): Reply {
  const { person: user } = visit;
  if (user && !desk.accountForm(visit, user)) return desk.refuse('form_outdated', { event: 'sign_out', user });
  const page = desk.pages.signIn(desk.signInAt, signInButton(desk, visit), 'You are signed out here.');
  const told = user ? [{ event: 'sign_out', outcome: 'allow', reason: 'signed_out', user } as const] : [];
  return shown(page, told, [desk.cookies.signedOut()]);
}
