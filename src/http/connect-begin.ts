import type { Flow, UserKey } from '../upstream/connect-state.ts';
import type { Provider } from '../upstream/provider.ts';
import type { ConnectDesk } from './connect-desk.ts';
import type { Button } from './connect-layout.ts';
import { type Reply, shown, type Visit } from './connect-visit.ts';

/** Sends the person to the login issuer. @param again who is signed in there is not the one who is wanted */
export async function beginSignIn(
  desk: ConnectDesk,
  visit: Visit,
  link: Extract<Flow, { kind: 'sign_in' }>['link'],
  again: boolean,
): Promise<Reply> {
  const { login, states, pages, paths, signInAt } = desk;
  const begun = states.begin({ kind: 'sign_in', ...(link && { link }) }, visit.browser);
  const outcome = await login.authorizationUrl({ redirectUri: paths.signInCallback, ...begun, again }, visit.signal);
  if (outcome.kind === 'failed') return desk.failed(outcome, { event: 'sign_in', provider: link?.provider }, signInAt);
  return shown(pages.leave(signInAt, outcome.url));
}

/** Sends the person to the provider. @param user who is signed in, and whose account it will be */
export async function beginConnect(
  desk: ConnectDesk,
  visit: Visit,
  { issuer, subject }: UserKey,
  provider: Provider,
): Promise<Reply> {
  const { paths, pages, states } = desk;
  const { name } = provider;
  const user = { issuer, subject };
  const { state, codeVerifier } = states.begin({ kind: 'connect', provider: name, user }, visit.browser);
  const input = { redirectUri: paths.callback(name), state, codeVerifier };
  const outcome = await provider.authorizationUrl(input, visit.signal);
  if (outcome.kind === 'failed') return desk.failed(outcome, { event: 'connect', user, provider: name }, name);
  return shown(pages.leave(name, outcome.url));
}

export function signInButton(desk: ConnectDesk, visit: Visit): Button {
  return desk.openButton(visit, { label: 'Sign in', action: desk.paths.signIn });
}
