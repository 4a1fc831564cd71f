export interface Fence {
  /** The words behind the backquotes: language first. */
  readonly info: readonly string[];
  readonly text: string;
  readonly line: number;
}

/** Also inside lists, where blocks are indented. */
const FENCE = /^( *)```([^\n]*)\n((?:.*\n)*?)\1```$/gm;

/** The fenced blocks of a Markdown text. */
export function fences(markdown: string): Fence[] {
  return [...markdown.matchAll(FENCE)].map((match) => ({
    info: (match[2] ?? '').split(' '),
    text: (match[3] ?? '').replaceAll(new RegExp(`^${match[1] ?? ''}`, 'gm'), ''),
    line: markdown.slice(0, match.index).split('\n').length,
  }));
}

/** The text with each fenced block left out, so that what is no prose is not read as prose. */
export function proseOf(markdown: string): string {
  return markdown.replaceAll(FENCE, '');
}
