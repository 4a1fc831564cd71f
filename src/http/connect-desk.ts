import type { Clock } from '../core/ports.ts';
import { createSealer, type SealKey } from '../core/seal.ts';
import { type ConnectedAccounts, createConnectedAccounts } from '../upstream/connect-accounts.ts';
import { createStates, type States, type UserKey } from '../upstream/connect-state.ts';
import type { Turnstile } from '../upstream/connect-turnstile.ts';
import type { Login } from '../upstream/login.ts';
import type { Provider } from '../upstream/provider.ts';
import type { ProviderFailure } from '../upstream/provider-failure.ts';
import type { Ticket, Tickets } from '../upstream/ticket.ts';
import type { GrantKey, Vault } from '../upstream/vault/vault.ts';
import { type ConnectCookies, createConnectCookies } from './connect-cookies.ts';
import { single } from './connect-form.ts';
import { type Button, ConnectLayout } from './connect-layout.ts';
import { ConnectPages, type RefusedMore } from './connect-pages.ts';
import { type ConnectPaths, connectPaths } from './connect-paths.ts';
import { CONNECT_REFUSALS, type ConnectReason, reasonOfFailure } from './connect-refusals.ts';
import type { Reply, Told, Visit } from './connect-visit.ts';

export interface ConnectDeskParts {
  /** Without a trailing slash. */
  readonly publicUrl: string;
  readonly login: Login;
  /** Their order is that of the accounts page. */
  readonly providers: ReadonlyMap<string, Provider>;
  readonly vault: Vault;
  readonly tickets: Tickets;
  /** For cookies and states; all replicas share them. */
  readonly cookieKeys: readonly SealKey[];
  /** Before the callbacks. */
  readonly turnstile: Turnstile;
  /** Told after each connect and disconnect. */
  readonly onGrantChanged: (key: GrantKey) => void;
  readonly clock: Clock;
}

/** What a refused step tells the audit; the refusal gives the outcome and the reason. */
export type About = Omit<Told, 'outcome' | 'reason'>;

/** What the steps of the connect pages share. */
export interface ConnectDesk {
  readonly paths: ConnectPaths;
  readonly pages: ConnectPages;
  readonly layout: ConnectLayout;
  readonly cookies: ConnectCookies;
  readonly login: Login;
  /** Host of the login issuer. */
  readonly signInAt: string;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly accounts: ConnectedAccounts;
  readonly states: States;
  readonly turnstile: Turnstile;
  /** The user a link was made for, or why it cannot be used. */
  openTicket(text: string, provider: string): Ticket | ConnectReason;
  /** @param party the other site, for texts that name it */
  refuse(reason: ConnectReason, about?: About, more?: RefusedMore & { readonly party?: string }): Reply;
  failed(failure: ProviderFailure, about: About, party: string): Reply;

  /** A form of the accounts page. It holds for the person the page was made for: another tab may have signed in another. */
  accountButton(visit: Visit, user: UserKey, button: Pick<Button, 'label' | 'name' | 'action' | 'kind'>): Button;
  accountForm(visit: Visit, user: UserKey): boolean;
  /** A form that anybody in this browser may send: signing in, and the link, whose ticket says whom it is for. */
  openButton(visit: Visit, button: Pick<Button, 'label' | 'action'>, fields?: Readonly<Record<string, string>>): Button;
  openForm(visit: Visit): boolean;
}

export function createConnectDesk(parts: ConnectDeskParts): ConnectDesk {
  const { publicUrl, login, providers, vault, tickets, cookieKeys, turnstile, onGrantChanged, clock } = parts;
  const paths = connectPaths(publicUrl);
  const pages = new ConnectPages(paths);
  const signInAt = new URL(login.issuer).host;
  const refuse: ConnectDesk['refuse'] = (reason, about, { party = signInAt, ...more } = {}) => {
    const { status, outcome } = CONNECT_REFUSALS[reason];
    const told = about ? [{ ...about, outcome, reason }] : [];
    return { status, show: pages.refused(reason, party, more), told, cookies: [] };
  };

  return {
    paths,
    pages,
    layout: new ConnectLayout(paths.host),
    cookies: createConnectCookies(cookieKeys, paths.secure, login.fingerprint, clock),
    login,
    signInAt,
    providers,
    accounts: createConnectedAccounts({ vault, providers, onChanged: onGrantChanged, clock }),
    states: createStates(createSealer(cookieKeys, 'connect-state'), vault, clock),
    turnstile,

    openTicket(text, provider) {
      const ticket = tickets.open(text);
      if (ticket === undefined) return 'ticket_invalid';
      if (ticket === 'expired') return 'ticket_expired';
      if (ticket.provider !== provider) return 'ticket_other_provider';
      return ticket.issuer === login.issuer ? ticket : 'other_issuer';
    },
    refuse,
    failed: (failure, about, party) =>
      refuse(reasonOfFailure(failure), { ...about, detail: failure.error ?? failure.fault }, { party }),

    accountButton: ({ browser }, user, button) => ({
      ...button,
      fields: { token: browser.derive('account-form', user.issuer, user.subject) },
    }),
    accountForm: ({ known, form }, user) =>
      known?.derived(single(form, 'token'), 'account-form', user.issuer, user.subject) === true,
    openButton: ({ browser }, button, fields = {}) => ({
      ...button,
      kind: 'main',
      fields: { token: browser.derive('open-form'), ...fields },
    }),
    openForm: ({ known, form }) => known?.derived(single(form, 'token'), 'open-form') === true,
  };
}
