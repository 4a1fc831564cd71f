/** Text that is HTML already. Only this file makes it, so that nothing gets into a page unescaped. */
export interface Html {
  readonly [MARKUP]: string;
}

type Part = Html | string | number | undefined | readonly Part[];

const MARKUP = Symbol('markup');
const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** HTML with its holes escaped; `undefined` leaves nothing. Holes in attributes stand between quotes. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return markup(strings.reduce((text, string, i) => text + written(parts[i - 1]) + string));
}

/** @throws when the text would end the element, which is a bug */
export function styleElement(css: string): Html {
  if (css.includes('<')) throw new Error('a style sheet must not hold markup');
  return markup(`<style>${css}</style>`);
}

export function textOf(page: Html): string {
  return page[MARKUP];
}

function markup(text: string): Html {
  return { [MARKUP]: text };
}

function written(part: Part): string {
  if (part === undefined) return '';
  if (typeof part === 'string') return part.replace(/[&<>"']/g, (char) => ESCAPES[char] as string);
  if (typeof part === 'number') return String(part);
  return MARKUP in part ? part[MARKUP] : part.map(written).join('');
}
