import type { Account } from '../upstream/connect-accounts.ts';
import type { Person } from '../upstream/login.ts';
import type { Provider } from '../upstream/provider.ts';
import { signInButton } from './connect-begin.ts';
import type { ConnectDesk } from './connect-desk.ts';
import type { Button } from './connect-layout.ts';
import { goTo, type Reply, shown, type Visit } from './connect-visit.ts';

/** The accounts page: what is connected, since when, with which permissions. */
export async function showAccounts(desk: ConnectDesk, visit: Visit): Promise<Reply> {
  const { pages, paths, signInAt } = desk;
  const { person, signal } = visit;
  if (!person) return shown(pages.signIn(signInAt, signInButton(desk, visit)));
  const accounts = await desk.accounts.list(person, signal);
  const signOut = desk.accountButton(visit, person, { label: 'Sign out', action: paths.signOut, kind: 'small' });
  const rows = accounts.map((account) => ({ account, buttons: buttonsOf(desk, visit, person, account) }));
  return shown(pages.accounts(person.label, signOut, rows));
}

function buttonsOf(desk: ConnectDesk, visit: Visit, person: Person, account: Account): Button[] {
  const { provider } = account;
  const button = (label: string, action: string, main: boolean): Button =>
    desk.accountButton(visit, person, { label, name: `${label} ${provider}`, action, ...(main && { kind: 'main' }) });
  const broken = account.kind !== 'connected' || account.ended !== undefined;
  const connect = account.kind === 'missing' ? 'Connect' : 'Connect again';
  return [
    button(connect, desk.paths.link(provider), broken),
    ...(account.kind === 'missing' ? [] : [button('Disconnect', desk.paths.disconnect(provider), false)]),
  ];
}

/** After the callback, at an address that may be loaded again. It tells what the vault holds, whoever leads here. */
export async function showDone(desk: ConnectDesk, visit: Visit, { name }: Provider): Promise<Reply> {
  const { person, signal } = visit;
  const account = person && (await desk.accounts.find(person, name, signal));
  const good = account?.kind === 'connected' && account.ended === undefined;
  return good ? shown(desk.pages.done(name)) : goTo(desk.paths.accounts);
}

/** POST: ends the access at the provider, and here in any case. */
export async function disconnect(desk: ConnectDesk, visit: Visit, provider: Provider): Promise<Reply> {
  const { person } = visit;
  const { name } = provider;
  const about = { event: 'disconnect', user: person, provider: name } as const;
  if (!person) return desk.refuse('signed_out', about, { button: signInButton(desk, visit) });
  if (!desk.accountForm(visit, person)) return desk.refuse('form_outdated', about);
  const done = await desk.accounts.disconnect(person, provider);
  const reason = done.existed ? 'disconnected' : 'not_connected';
  const detail = `revocation_${done.revocation}`;
  return shown(desk.pages.disconnected(name, done), [{ ...about, outcome: 'allow', reason, detail }]);
}
