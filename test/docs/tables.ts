export interface Row {
  readonly columns: readonly string[];
  readonly cells: readonly string[];
}

/** The rows of all tables of a Markdown text, each with the names of its columns. */
export function rowsOf(markdown: string): Row[] {
  return [...markdown.matchAll(/^(\|.*)\n\|[ |:-]+\n((?:\|.*\n?)*)/gm)].flatMap(([, head = '', body = '']) => {
    const columns = cellsOf(head);
    return body
      .trimEnd()
      .split('\n')
      .map((line) => ({ columns, cells: cellsOf(line) }));
  });
}

function cellsOf(line: string): string[] {
  return line
    .replace(/^\||\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}
