/** An element of an answer; text between child elements is not kept. */
export interface XmlElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

/** Answers of STS are about 2 KB and four levels deep. */
const MAX_DEPTH = 16;

const SPACE = /[ \t\r\n]*/y;
const DECLARATION = /<\?xml[ \t\r\n][^<>?]*\?>/y;
const OPEN =
  /<([A-Za-z_][\w.-]*)((?:[ \t\r\n]+[A-Za-z_][\w:.-]*[ \t\r\n]*=[ \t\r\n]*(?:"[^"<]*"|'[^'<]*'))*)[ \t\r\n]*(\/?)>/y;
const CLOSE = /<\/([A-Za-z_][\w.-]*)[ \t\r\n]*>/y;
const TEXT = /[^<]*/y;
const REFERENCE = /&(?:(lt|gt|amp|quot|apos)|#(\d{1,7})|#x([0-9A-Fa-f]{1,6}));/g;
const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/**
 * Reads the XML that AWS Query services answer with: elements, attributes (not kept), text with the five entities and
 * character references. What they never send is refused rather than understood: document types, further entities,
 * processing instructions, comments, CDATA.
 * @returns the root element, or undefined for anything else
 */
export function readXml(source: string): XmlElement | undefined {
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (!match) return undefined;
    at = pattern.lastIndex;
    return match;
  };

  const element = (depth: number): XmlElement | undefined => {
    const open = take(OPEN);
    if (!open || depth > MAX_DEPTH) return undefined;
    const name = open[1] as string;
    if (open[3] === '/') return { name, text: '', children: [] };
    const children: XmlElement[] = [];
    let text = plainText(take(TEXT)?.[0] ?? '');
    let close = take(CLOSE);
    while (!close) {
      const child = element(depth + 1);
      if (!child) return undefined;
      children.push(child);
      const between = plainText(take(TEXT)?.[0] ?? '');
      text = text === undefined || between === undefined ? undefined : text + between;
      close = take(CLOSE);
    }
    if (close[1] !== name || text === undefined) return undefined;
    return { name, text: children.length === 0 ? text : '', children };
  };

  take(DECLARATION);
  take(SPACE);
  const root = element(1);
  take(SPACE);
  return at === source.length ? root : undefined;
}

/** The text of the element at the end of `path`, one name per level below `from`; undefined when there is none, or two. */
export function textAt(from: XmlElement, ...path: readonly string[]): string | undefined {
  let element = from;
  for (const name of path) {
    const [found, second] = element.children.filter((child) => child.name === name);
    if (!found || second) return undefined;
    element = found;
  }
  return element.text;
}

/** @returns undefined when a reference is none that is known */
function plainText(raw: string): string | undefined {
  if (!raw.includes('&')) return raw;
  let known = 0;
  const text = raw.replaceAll(REFERENCE, (whole, entity?: string, decimal?: string, hex?: string) => {
    const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal);
    const character = entity === undefined ? characterOf(code) : ENTITIES[entity];
    if (character === undefined) return whole;
    known++;
    return character;
  });
  return known === raw.split('&').length - 1 ? text : undefined;
}

function characterOf(code: number): string | undefined {
  const allowed = code === 9 || code === 10 || code === 13 || (code >= 0x20 && code <= 0x10ffff);
  return allowed && !(code >= 0xd800 && code <= 0xdfff) ? String.fromCodePoint(code) : undefined;
}
