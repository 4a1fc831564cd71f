/** Writes one region; gets the words behind its name in the marker. */
export type Generator = (args: readonly string[]) => string | Promise<string>;

const REGION = /<!-- generated: ([^\n]*?) -->\n[\s\S]*?<!-- end of generated -->/g;

/**
 * Fills what stands between `<!-- generated: NAME ARGS -->` and `<!-- end of generated -->`; the rest of a page is
 * written by hand.
 * @throws when a marker names no generator, or is not closed
 */
export async function fillRegions(text: string, generators: Readonly<Record<string, Generator>>): Promise<string> {
  const opened = text.split('<!-- generated: ').length - 1;
  const found = [...text.matchAll(REGION)];
  if (opened !== found.length) throw new Error(`${opened} regions begin, ${found.length} end`);
  let filled = '';
  let from = 0;
  for (const match of found) {
    const [name = '', ...args] = (match[1] ?? '').split(' ');
    const generate = Object.hasOwn(generators, name) ? generators[name] : undefined;
    if (!generate) throw new Error(`nothing generates "${name}"`);
    const content = await generate(args);
    filled += `${text.slice(from, match.index)}<!-- generated: ${match[1]} -->\n${content.trim()}\n<!-- end of generated -->`;
    from = match.index + match[0].length;
  }
  return filled + text.slice(from);
}
