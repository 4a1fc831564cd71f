/** One simple command: its words without quotes. What a substitution would give stands as `$()`. */
export type Command = readonly string[];

const KEYWORDS = new Set(['!', '{', '}', 'if', 'then', 'elif', 'else', 'fi', 'while', 'until', 'do', 'done', 'time']);
const ASSIGNMENT = /^\w+=/;
const REDIRECTION = /^\d?(?:>>|>&|<&|<<<|>|<)/;

/**
 * The simple commands of a shell text, those inside `$(…)` and after `|`, `&&` and `;` among them.
 * It reads what documentation uses of the shell: no here-documents, no `case`.
 */
export function commandsOf(script: string): Command[] {
  const found: Command[] = [];
  const reader = new Reader(script, found);
  reader.list();
  return found;
}

class Reader {
  readonly #text: string;
  readonly #found: Command[];
  #at = 0;

  constructor(text: string, found: Command[]) {
    this.#text = text;
    this.#found = found;
  }

  /** Commands up to the end, or to the `)` that closes this list. */
  list(): void {
    let words: string[] = [];
    const end = () => {
      const command = withoutPrefix(words);
      if (command.length > 0) this.#found.push(command);
      words = [];
    };
    for (;;) {
      this.#skip(/[ \t]+|\\\n/y);
      this.#skip(/#[^\n]*/y);
      const next = this.#text[this.#at];
      if (next === undefined) return end();
      if (next === ')') {
        this.#at++;
        return end();
      }
      if (this.#skip(/[\n;|&(]+/y)) end();
      else if (this.#skip(/\d?(?:>>|>&|<&|<<<|>|<)/y)) {
        this.#skip(/[ \t]+/y);
        this.#word();
      } else words.push(this.#word());
    }
  }

  #word(): string {
    let word = '';
    for (;;) {
      const next = this.#text[this.#at];
      if (next === undefined || /[\s;|&()<>]/.test(next)) return word;
      if (next === "'") word += this.#quoted();
      else if (next === '"') word += this.#doubleQuoted();
      else word += this.#character();
    }
  }

  #quoted(): string {
    const close = this.#text.indexOf("'", this.#at + 1);
    const inside = this.#text.slice(this.#at + 1, close);
    this.#at = close + 1;
    return inside;
  }

  #doubleQuoted(): string {
    let inside = '';
    this.#at++;
    while (this.#at < this.#text.length && this.#text[this.#at] !== '"') inside += this.#character();
    this.#at++;
    return inside;
  }

  #character(): string {
    if (this.#text.startsWith('$(', this.#at)) {
      this.#at += 2;
      this.list();
      return '$()';
    }
    const braces = /\$\{[^}]*\}/y;
    braces.lastIndex = this.#at;
    const variable = braces.exec(this.#text)?.[0];
    const escaped = this.#text[this.#at] === '\\';
    const character = variable ?? this.#text[this.#at + (escaped ? 1 : 0)] ?? '';
    this.#at += variable?.length ?? (escaped ? 2 : 1);
    return character === '\n' && escaped ? '' : character;
  }

  #skip(what: RegExp): boolean {
    what.lastIndex = this.#at;
    const match = what.exec(this.#text);
    this.#at += match?.[0].length ?? 0;
    return match !== null;
  }
}

/** Without keywords, assignments and redirections in front. */
function withoutPrefix(words: readonly string[]): string[] {
  const first = words.findIndex((word) => !KEYWORDS.has(word) && !ASSIGNMENT.test(word) && !REDIRECTION.test(word));
  const command = first < 0 ? [] : words.slice(first);
  return command[0] === 'for' ? [] : command;
}
