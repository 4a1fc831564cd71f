export interface Fence {
  /** The words behind the backquotes: language first. */
  readonly info: readonly string[];
  readonly text: string;
  readonly line: number;
}

/** The fenced blocks of a Markdown text. */
export function fences(markdown: string): Fence[] {
  return [...markdown.matchAll(/^```([^\n]*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    info: (match[1] ?? '').split(' '),
    text: match[2] ?? '',
    line: markdown.slice(0, match.index).split('\n').length,
  }));
}
