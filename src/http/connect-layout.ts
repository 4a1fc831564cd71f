import { type Html, html, styleElement, textOf } from './connect-html.ts';
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

/** What all connect pages have around their content. */
export class ConnectLayout {
  readonly #host: string;
  readonly #style: Html;
  readonly #policy: string;

  /** @param host what people know us by */
  constructor(host: string) {
    this.#host = host;
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
    const host = this.#host;
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
}

export function form({ label, name, action, fields, kind }: Button): Html {
  const hidden = Object.entries(fields).map(
    ([field, value]) => html`<input type="hidden" name="${field}" value="${value}">`,
  );
  return html`<form method="post" action="${action}">${hidden}<button class="${kind ?? ''}" aria-label="${name ?? label}">${label}</button></form>`;
}
