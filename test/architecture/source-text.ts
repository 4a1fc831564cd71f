/**
 * Just enough of a TypeScript scanner to find imports and calls in source text without a parser: it tells code from
 * comments, strings, templates and regular expressions.
 */

export interface SourceText {
  /**
   * The code with the same line breaks as the source: comments blank, the n-th string as `"n"`, the text of
   * templates gone (their expressions stay), a regular expression as `/0/`.
   */
  readonly code: string;
  /** The values of the strings, by number; escapes stay as written. */
  readonly strings: readonly string[];
}

// After these words a slash begins a regular expression, after any other word it divides.
const BEFORE_OPERAND = /(?:^|[^\w$.])(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield)$/;

export function scanSource(text: string): SourceText {
  const strings: string[] = [];
  let code = '';
  let at = 0;

  const startsRegExp = (): boolean => {
    const before = code.trimEnd();
    return !/[\w$)\]}"`]$/.test(before) || BEFORE_OPERAND.test(before);
  };

  const keepLineBreaks = (from: number, to: number): string => text.slice(from, to).replaceAll(/[^\n]+/g, ' ');

  const skipComment = (): void => {
    const end = text[at + 1] === '/' ? text.indexOf('\n', at) : text.indexOf('*/', at) + 2;
    const stop = end < at + 2 ? text.length : end;
    code += keepLineBreaks(at, stop);
    at = stop;
  };

  const takeString = (quote: string): void => {
    const start = ++at;
    while (at < text.length && text[at] !== quote) at += text[at] === '\\' ? 2 : 1;
    code += `"${strings.push(text.slice(start, at)) - 1}"`;
    at += 1;
  };

  const skipRegExp = (): void => {
    let inClass = false;
    for (at += 1; at < text.length && (inClass || text[at] !== '/'); at += 1) {
      if (text[at] === '\\') at += 1;
      else if (text[at] === '[') inClass = true;
      else if (text[at] === ']') inClass = false;
    }
    at += 1;
    code += '/0/';
  };

  const takeTemplate = (): void => {
    code += '`';
    at += 1;
    while (at < text.length && text[at] !== '`') {
      if (text[at] === '\\') {
        at += 2;
      } else if (text.startsWith('${', at)) {
        code += '${';
        at += 2;
        takeCode(true);
      } else {
        if (text[at] === '\n') code += '\n';
        at += 1;
      }
    }
    code += '`';
    at += 1;
  };

  /** Up to the end of the text, or to the brace that closes a template's expression. */
  const takeCode = (inTemplate: boolean): void => {
    let depth = 0;
    while (at < text.length) {
      const char = text[at] as string;
      if (char === '/' && (text[at + 1] === '/' || text[at + 1] === '*')) skipComment();
      else if (char === '"' || char === "'") takeString(char);
      else if (char === '`') takeTemplate();
      else if (char === '/' && startsRegExp()) skipRegExp();
      else {
        if (char === '{') depth += 1;
        if (char === '}') depth -= 1;
        code += char;
        at += 1;
        if (inTemplate && depth < 0) return;
      }
    }
  };

  takeCode(false);
  return { code, strings };
}
