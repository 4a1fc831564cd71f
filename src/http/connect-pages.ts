import type { Account, Disconnected } from '../upstream/connect-accounts.ts';
import { type Html, html, styleElement, textOf } from './connect-html.ts';
import type { ConnectPaths } from './connect-paths.ts';
import { CONNECT_REFUSALS, type ConnectReason } from './connect-refusals.ts';
import { pageStyle } from './connect-style.ts';

export interface Page {
  readonly title: string;
  readonly body: Html;
  /** Where the browser goes by itself, at once. */
  readonly leadsTo?: string;
}

/** A button that posts; `token` proves that the page is ours and meant for this person. */
export interface Button {
  readonly label: string;
  /** For those who do not see what stands around it. */
  readonly name?: string;
  readonly action: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly kind?: 'main' | 'small';
}

/** The words of the connect pages. Whatever comes in is text; `html` escapes it. */
export class ConnectPages {
  readonly #paths: ConnectPaths;
  readonly #style: Html;
  readonly #policy: string;
  readonly #time = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' });

  constructor(paths: ConnectPaths) {
    this.#paths = paths;
    const { css, source } = pageStyle();
    this.#style = styleElement(css);
    this.#policy = `default-src 'none'; style-src ${source}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`;
  }

  /**
   * `form-action 'self'` is enough: Chromium applies it to every redirect that follows a form, so no form of ours is
   * answered with a redirect to another site but with a page that leads there.
   */
  get headers(): Readonly<Record<string, string>> {
    return {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': this.#policy,
      'x-frame-options': 'DENY',
      'cross-origin-resource-policy': 'same-origin',
    };
  }

  write({ title, body, leadsTo }: Page): string {
    const { host } = this.#paths;
    const refresh = leadsTo === undefined ? undefined : html`<meta http-equiv="refresh" content="0; url=${leadsTo}">`;
    return textOf(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
${refresh}
<title>${title} · ${host}</title>
${this.#style}
</head>
<body>
<header>Connected accounts at ${host}</header>
<main>
${body}
</main>
</body>
</html>
`);
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
${scopes.length > 0 ? html`<p>It asks for:</p><ul>${scopes.map((scope) => html`<li><code>${scope}</code></li>`)}</ul>` : undefined}
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

  /** @param party the other site, for texts that name it; @param button a way out beside the accounts page */
  refused(reason: ConnectReason, party: string, button?: Button): Page {
    const { heading, text } = CONNECT_REFUSALS[reason];
    const title = heading.replaceAll('PARTY', () => party);
    return {
      title,
      body: html`<section class="panel">
<h1>${title}</h1>
<p class="note bad" role="alert">${text.replaceAll('PARTY', () => party)}</p>
${this.#toAccounts(button)}
</section>`,
    };
  }

  #toAccounts(button?: Button): Html {
    const link = html`<a class="button" href="${this.#paths.accounts}">Your accounts</a>`;
    return html`<div class="actions">${button && form(button)}${link}</div>`;
  }
}

function form({ label, name, action, fields, kind }: Button): Html {
  const hidden = Object.entries(fields).map(
    ([field, value]) => html`<input type="hidden" name="${field}" value="${value}">`,
  );
  return html`<form method="post" action="${action}">${hidden}<button class="${kind ?? ''}" aria-label="${name ?? label}">${label}</button></form>`;
}

function stateOf(account: Account): Html {
  if (account.kind === 'missing') return html`<span class="state">not connected</span>`;
  if (account.kind === 'unreadable') return html`<span class="state bad">cannot be read</span>`;
  return account.ended === undefined
    ? html`<span class="state good">connected</span>`
    : html`<span class="state warn">connect again</span>`;
}
