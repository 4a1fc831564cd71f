/** A form of a page that has a button; pressing sends the hidden fields and what the button itself carries. */
interface Form {
  readonly action: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** What stands on the button. */
  readonly label: string;
  /** What the button sends, for forms that ask which one was pressed. */
  readonly value: string | undefined;
}

export interface Page {
  readonly url: URL;
  readonly status: number;
  readonly heading: string;
  /** Text without markup. */
  readonly text: string;
  readonly forms: readonly Form[];
}

const maxHops = 15;
const limitMs = 10_000;

/**
 * As much of a browser as the pages of this demo need: cookies, redirects, `meta refresh`, buttons. The pages are
 * small and known, so regular expressions read them. `stopAt`: an address that begins so is not opened any more.
 */
export class ScriptedBrowser {
  readonly #cookies = new Map<string, string>();
  readonly #stopAt: string | undefined;

  constructor(stopAt?: string) {
    this.#stopAt = stopAt;
  }

  /** Opens an address and goes where it leads. */
  async open(url: URL): Promise<Page> {
    return this.#load(url);
  }

  /**
   * Presses the button with that label, or the one that sends that value, and goes where it leads.
   * `to`: the path the button's form goes to, when several buttons are labelled alike.
   */
  async press(page: Page, button: string, to?: string): Promise<Page> {
    const form = page.forms.find(
      ({ label, value, action }) => (label === button || value === button) && (to === undefined || action === to),
    );
    if (form === undefined)
      throw new Error(
        `there is no button "${button}" at ${page.url.origin}${page.url.pathname}: ${page.status} ${page.text}`,
      );
    const body = new URLSearchParams();
    for (const [name, value] of form.fields) body.append(name, value);
    return this.#load(new URL(form.action, page.url), body);
  }

  async #load(first: URL, form?: URLSearchParams): Promise<Page> {
    let url = first;
    let body = form;
    for (let hops = 0; hops < maxHops; hops++) {
      const response = await fetch(url, {
        redirect: 'manual',
        headers: { cookie: this.#cookiesFor(url) },
        signal: AbortSignal.timeout(limitMs),
        ...(body === undefined ? {} : { method: 'POST', body }),
      });
      for (const line of response.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
        this.#cookies.set(`${url.host} ${name}`, value);
      }
      const text = await response.text();
      const refresh = /<meta http-equiv="refresh" content="0; url=([^"]*)">/.exec(text)?.[1];
      const next = response.headers.get('location') ?? (refresh === undefined ? undefined : unescaped(refresh));
      if (next === undefined) return pageOf(url, response.status, text);
      url = new URL(next, url);
      body = undefined;
      if (this.#stopAt !== undefined && url.href.startsWith(this.#stopAt)) return pageOf(url, response.status, '');
    }
    throw new Error(`too many redirects, the last to ${url.origin}${url.pathname}`);
  }

  /** By host and port; a real browser would mix those of one host's ports, and servers here name theirs apart. */
  #cookiesFor(url: URL): string {
    const own = [...this.#cookies].filter(([key, value]) => key.startsWith(`${url.host} `) && value !== '');
    return own.map(([key, value]) => `${key.slice(url.host.length + 1)}=${value}`).join('; ');
  }
}

function pageOf(url: URL, status: number, markup: string): Page {
  const heading = textIn(/<h1>([\s\S]*?)<\/h1>/.exec(markup)?.[1] ?? '');
  return { url, status, heading, text: textIn(markup), forms: formsIn(markup) };
}

function formsIn(markup: string): Form[] {
  return [...markup.matchAll(/<form([^>]*)>([\s\S]*?)<\/form>/g)].flatMap(([, attributes = '', inside = '']) => {
    const hidden = inside.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"\/?>/g);
    const fields = [...hidden].map(([, name = '', value = '']) => [unescaped(name), unescaped(value)] as const);
    return [...inside.matchAll(/<button([^>]*)>([\s\S]*?)<\/button>/g)].map(([, own = '', label = '']): Form => {
      const name = attribute(own, 'name');
      const value = name === undefined ? undefined : (attribute(own, 'value') ?? '');
      return {
        action: attribute(attributes, 'action') ?? '',
        fields: name === undefined ? fields : [...fields, [name, value ?? '']],
        label: textIn(label),
        value,
      };
    });
  });
}

function attribute(tag: string, name: string): string | undefined {
  const value = new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1];
  return value === undefined ? undefined : unescaped(value);
}

function textIn(markup: string): string {
  const visible = markup.replaceAll(/<(style|title)>[\s\S]*?<\/\1>/g, '').replaceAll(/<[^>]*>/g, ' ');
  return unescaped(visible).replaceAll(/\s+/g, ' ').trim();
}

function unescaped(text: string): string {
  const signs: Record<string, string> = { lt: '<', gt: '>', quot: '"', '#39': "'", amp: '&' };
  return text.replaceAll(/&(lt|gt|quot|#39|amp);/g, (_whole, name: string) => signs[name] ?? '');
}
