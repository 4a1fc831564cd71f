import type { Account, Disconnected } from '../upstream/connect-accounts.ts';
import { type Html, html } from './connect-html.ts';
import { type Button, form, type Page } from './connect-layout.ts';
import type { ConnectPaths } from './connect-paths.ts';
import { CONNECT_REFUSALS, type ConnectReason } from './connect-refusals.ts';

export interface RefusedMore {
  /** A way out beside the accounts page. */
  readonly button?: Button;
  readonly signedInAs?: string;
}

/** The words of the connect pages. Whatever comes in is text; `html` escapes it. */
export class ConnectPages {
  readonly #paths: ConnectPaths;
  readonly #time = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' });

  constructor(paths: ConnectPaths) {
    this.#paths = paths;
  }

  /** @param signedInAs undefined while nobody is; @param signInAt host of the login issuer */
  link(
    provider: string,
    scopes: readonly string[],
    signedInAs: string | undefined,
    signInAt: string,
    button: Button,
  ): Page {
    const who =
      signedInAs === undefined
        ? html`<p>First you sign in at <b>${signInAt}</b>, so that nobody else can use this link; then ${provider} asks you.</p>`
        : html`<p>You are signed in as <b><bdi>${signedInAs}</bdi></b>. ${provider} asks you next.</p>`;
    return {
      title: `Connect ${provider}`,
      body: html`<section class="panel">
<h1>Connect your ${provider} account</h1>
<p>An MCP client that you use wants to work with ${provider} in your name. ${this.#paths.host} keeps the access that
${provider} gives and uses it for your own requests only. You can end it at any time.</p>
${scopes.length > 0 ? html`<p>These permissions are asked for:</p><ul>${scopes.map((scope) => html`<li><code>${scope}</code></li>`)}</ul>` : undefined}
${who}
<p class="note">Go on only if you have just asked for this in your own MCP client.</p>
<div class="actions">${form(button)}</div>
</section>`,
    };
  }

  signIn(signInAt: string, button: Button, notice?: string): Page {
    return {
      title: 'Sign in',
      body: html`<section class="panel">
<h1>Your connected accounts</h1>
${notice === undefined ? undefined : html`<p class="note" role="status">${notice}</p>`}
<p>Sign in at <b>${signInAt}</b> to see which accounts your MCP clients may use, to connect them and to disconnect them.</p>
<div class="actions">${form(button)}</div>
</section>`,
    };
  }

  accounts(
    label: string,
    signOut: Button,
    accounts: readonly { readonly account: Account; readonly buttons: readonly Button[] }[],
  ): Page {
    const panels = accounts.map(
      ({ account, buttons }) => html`<section class="panel">
<div class="top"><h2>${account.provider}</h2> ${stateOf(account)}</div>
${this.#details(account)}
<div class="actions">${buttons.map(form)}</div>
</section>
`,
    );
    return {
      title: 'Your accounts',
      body: html`<h1>Your connected accounts</h1>
<div class="who"><span>Signed in as <b><bdi>${label}</bdi></b></span>${form(signOut)}</div>
${panels}`,
    };
  }

  #details(account: Account): Html {
    if (account.kind === 'missing')
      return html`<p class="quiet">Your MCP clients cannot use ${account.provider} in your name.</p>`;
    if (account.kind === 'unreadable') {
      return html`<p>What is kept for this account cannot be opened. Connect it again, or disconnect it; whoever runs this
service may be able to repair it.</p>`;
    }
    const { sinceMs, scopes, refreshedAtMs, ended } = account;
    const why =
      ended === 'scopes_changed'
        ? 'More is asked for now than you have agreed to. Connect it again to go on using it.'
        : ended === 'expired'
          ? 'The access has ended. Connect it again to go on using it.'
          : undefined;
    return html`${why === undefined ? undefined : html`<p>${why}</p>`}<dl>
<dt>Connected since</dt><dd>${this.#when(sinceMs)}</dd>
<dt>Last refreshed</dt><dd>${refreshedAtMs === undefined ? 'not yet' : this.#when(refreshedAtMs)}</dd>
<dt>Permissions</dt><dd>${scopes.length === 0 ? 'none in particular' : scopes.map((scope, i) => html`${i > 0 ? ', ' : ''}<code>${scope}</code>`)}</dd>
</dl>`;
  }

  #when(ms: number): Html {
    const date = new Date(ms);
    return html`<time datetime="${date.toISOString()}">${this.#time.format(date)} UTC</time>`;
  }

  done(provider: string): Page {
    return {
      title: `${provider} is connected`,
      body: html`<section class="panel">
<h1>${provider} is connected</h1>
<p class="note good" role="status">You can close this page and go back to your MCP client.</p>
<p class="quiet">If it does not go on by itself, use the tool again.</p>
${this.#toAccounts()}
</section>`,
    };
  }

  disconnected(provider: string, { existed, revocation }: Disconnected): Page {
    const quiet =
      revocation === 'revoked'
        ? `${provider} has been told that the access has ended.`
        : revocation === 'none'
          ? undefined
          : `${provider} could not be told. It may go on listing this service; remove it in your settings there.`;
    return {
      title: `${provider} is disconnected`,
      body: html`<section class="panel">
<h1>${provider} is disconnected</h1>
<p role="status">${existed ? 'Nothing of the access is kept here any more.' : 'It was not connected.'} ${quiet}</p>
${this.#toAccounts()}
</section>`,
    };
  }

  /** Takes the browser to another site. */
  leave(party: string, url: string): Page {
    return {
      title: `On to ${party}`,
      leadsTo: url,
      body: html`<section class="panel">
<h1>On to ${party}</h1>
<p>Your browser goes there by itself. If it does not:</p>
<div class="actions"><a class="button main" href="${url}">Continue to ${party}</a></div>
</section>`,
    };
  }

  /** @param party the other site, for texts that name it */
  refused(reason: ConnectReason, party: string, { button, signedInAs }: RefusedMore = {}): Page {
    const { heading, text } = CONNECT_REFUSALS[reason];
    const title = heading.replaceAll('PARTY', () => party);
    const who =
      signedInAs === undefined
        ? undefined
        : html`<p class="quiet">You are signed in as <b><bdi>${signedInAs}</bdi></b>.</p>`;
    return {
      title,
      body: html`<section class="panel">
<h1>${title}</h1>
<p class="note bad" role="alert">${text.replaceAll('PARTY', () => party)}</p>
${who}
${this.#toAccounts(button)}
</section>`,
    };
  }

  #toAccounts(button?: Button): Html {
    const link = html`<a class="button" href="${this.#paths.accounts}">Your accounts</a>`;
    return html`<div class="actions">${button && form(button)}${link}</div>`;
  }
}

function stateOf(account: Account): Html {
  if (account.kind === 'missing') return html`<span class="state">not connected</span>`;
  if (account.kind === 'unreadable') return html`<span class="state bad">cannot be read</span>`;
  return account.ended === undefined
    ? html`<span class="state good">connected</span>`
    : html`<span class="state warn">connect again</span>`;
}
