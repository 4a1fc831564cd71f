import { type Answer, send } from './http.ts';

/** A form as it stands in a page. */
export interface PageForm {
  readonly action: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly button: string;
  /** Name and value that the button itself sends. */
  readonly pressed: Readonly<Record<string, string>>;
}

export interface Loaded extends Answer {
  readonly url: string;
  readonly forms: readonly PageForm[];
  /** Text without markup. */
  readonly text: string;
  readonly heading: string;
}

/**
 * As much of a browser as a sign-in needs: cookies by host and path, redirects, `meta refresh`, forms, and the headers by
 * which browsers tell where a request comes from. Test pages are small; regular expressions read them.
 */
export class WebBrowser {
  readonly #cookies = new Map<string, { host: string; path: string; name: string; value: string }>();
  /** Every address that was loaded. */
  readonly visited: string[] = [];
  /** Sent with every request. */
  headers: Readonly<Record<string, string>> = {};

  async get(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Loaded> {
    return this.#load('GET', url, headers);
  }

  async head(url: string): Promise<Loaded> {
    return this.#load('HEAD', url, {});
  }

  async post(
    url: string,
    fields: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Loaded> {
    return this.#load('POST', url, headers, new URLSearchParams(fields).toString());
  }

  /** Goes where the answer leads, until somebody has to do something. `stop` keeps an address from being loaded. */
  async follow(answer: Loaded, stop: (url: string) => boolean = () => false): Promise<Loaded> {
    let current = answer;
    for (let hops = 0; hops < 15; hops++) {
      const next = leadsTo(current);
      if (next !== undefined && stop(next)) return current;
      // The one script that oidc-provider's pages have.
      const submits = current.body.includes('document.forms[0].submit()') ? current.forms[0] : undefined;
      if (next !== undefined) current = await this.get(next);
      else if (submits) current = await this.press(current, submits.button);
      else return current;
    }
    throw new Error(`no end of redirects at ${current.url}`);
  }

  /** Presses the button of that label, or the one whose value it is. */
  async press(page: Loaded, label: string, action?: string): Promise<Loaded> {
    const form = page.forms.find(
      ({ button, pressed, action: to }) =>
        (button === label || Object.values(pressed).includes(label)) && (action === undefined || to === action),
    );
    if (!form) throw new Error(`no button "${label}" on ${page.url}:\n${page.text}`);
    const { origin } = new URL(page.url);
    const url = new URL(form.action, page.url).href;
    const sameOrigin = { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
    const noReferrer = page.headers['referrer-policy'] === 'no-referrer';
    return this.post(url, { ...form.fields, ...form.pressed }, { ...sameOrigin, origin: noReferrer ? 'null' : origin });
  }

  cookie(name: string): string | undefined {
    return [...this.#cookies.values()].find((cookie) => cookie.name === name)?.value;
  }

  cookieNames(): string[] {
    return [...this.#cookies.values()].map(({ name }) => name);
  }

  setCookie(url: string, name: string, value: string): void {
    this.#store(url, `${name}=${value}; Path=/`);
  }

  dropCookie(name: string): void {
    for (const [key, cookie] of this.#cookies) if (cookie.name === name) this.#cookies.delete(key);
  }

  /** A copy with the same cookies, as somebody who has stolen them would have. */
  clone(): WebBrowser {
    const copy = new WebBrowser();
    for (const [key, cookie] of this.#cookies) copy.#cookies.set(key, cookie);
    return copy;
  }

  async #load(method: string, url: string, headers: Readonly<Record<string, string>>, body?: string): Promise<Loaded> {
    const target = new URL(url);
    this.visited.push(url);
    const cookies = [...this.#cookies.values()]
      .filter(({ host, path }) => host === target.host && target.pathname.startsWith(path))
      .map(({ name, value }) => `${name}=${value}`);
    const lines = Object.entries({
      ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      ...(cookies.length > 0 ? { cookie: cookies.join('; ') } : {}),
      ...this.headers,
      ...headers,
    }).flat();
    const answer = await send(url, { method, headers: lines, ...(body === undefined ? {} : { body }) });
    const set = (answer.headers['set-cookie'] ?? []) as unknown as readonly string[];
    for (const line of set) this.#store(url, line);
    const text = textIn(answer.body);
    const heading = textIn(/<h1>([\s\S]*?)<\/h1>/.exec(answer.body)?.[1] ?? '');
    return { ...answer, url, forms: formsIn(answer.body), text, heading };
  }

  #store(url: string, line: string): void {
    const { host, pathname } = new URL(url);
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    const path = /;\s*path=([^;]+)/i.exec(line)?.[1] ?? pathname.slice(0, pathname.lastIndexOf('/') + 1);
    const key = `${host} ${path} ${name}`;
    const maxAge = /;\s*max-age=(-?\d+)/i.exec(line)?.[1];
    const expires = /;\s*expires=([^;]+)/i.exec(line)?.[1];
    const gone = Number(maxAge ?? 1) <= 0 || (expires !== undefined && Date.parse(expires) <= Date.now());
    if (gone) this.#cookies.delete(key);
    else this.#cookies.set(key, { host, path, name, value });
  }
}

/** The address an answer leads to by itself. */
function leadsTo(answer: Loaded): string | undefined {
  const { location } = answer.headers;
  const refresh = /<meta http-equiv="refresh" content="0; url=([^"]*)">/.exec(answer.body)?.[1];
  const next = location ?? (refresh === undefined ? undefined : unescaped(refresh));
  return next === undefined ? undefined : new URL(next, answer.url).href;
}

function formsIn(page: string): PageForm[] {
  return [...page.matchAll(/<form([^>]*)>([\s\S]*?)<\/form>/g)].flatMap(([, attributes = '', inside = '']) => {
    const action = unescaped(/action="([^"]*)"/.exec(attributes)?.[1] ?? '');
    const fields = Object.fromEntries(
      [...inside.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"\/?>/g)].map(
        ([, name = '', value = '']) => [unescaped(name), unescaped(value)],
      ),
    );
    return [...inside.matchAll(/<button([^>]*)>([\s\S]*?)<\/button>/g)].map(([, attribute = '', label = '']) => {
      const name = / name="([^"]*)"/.exec(attribute)?.[1];
      const pressed: Record<string, string> =
        name === undefined ? {} : { [name]: unescaped(/ value="([^"]*)"/.exec(attribute)?.[1] ?? '') };
      return { action, fields, button: textIn(label), pressed };
    });
  });
}

function textIn(markup: string): string {
  return unescaped(
    markup
      .replaceAll(/<style>[\s\S]*?<\/style>/g, '')
      .replaceAll(/<[^>]*>/g, ' ')
      .replaceAll(/\s+/g, ' ')
      .trim(),
  );
}

function unescaped(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
}
