import type { Node } from '../envoy-config/node.ts';
import { unknown, type Verdict, when } from './verdict.ts';

/** Kinds of `envoy.type.matcher.v3.StringMatcher` that compare texts. */
const COMPARE: Readonly<Record<string, (text: string, wanted: string) => boolean>> = {
  exact: (text, wanted) => text === wanted,
  prefix: (text, wanted) => text.startsWith(wanted),
  suffix: (text, wanted) => text.endsWith(wanted),
  contains: (text, wanted) => text.includes(wanted),
};

/** A StringMatcher over a text. @param what names the text in messages; its value is not told */
export function matchText(matcher: Node, text: string, what: string): Verdict {
  const ignoreCase = matcher.get('ignore_case').flag();
  const fold = (value: string) => (ignoreCase ? asciiLower(value) : value);
  for (const [kind, compare] of Object.entries(COMPARE)) {
    const wanted = matcher.get(kind);
    if (wanted.there) return when(compare(fold(text), fold(wanted.text())), `${what} is not ${kind} ${wanted.text()}`);
  }
  const regex = matcher.get('safe_regex');
  return regex.there ? matchRegex(regex, text, what) : unknown(`${what} is compared by a matcher of another kind`);
}

/**
 * The part of RE2's syntax that JavaScript reads the same way. Flags, named groups, POSIX classes, `\pN`, `\z`, `\Q` and
 * whatever else differs is left to Envoy.
 */
const SHARED_SYNTAX =
  /^(?:[^\\([{]|\\[dDwWbB.\\/^$*+?()[\]{}|-]|\((?!\?)|\(\?:|\{\d{1,3}(?:,\d{0,3})?\}|\[\^?(?:[^\\[\]]|\\[dDwW.\\/^$*+?()[\]{}|-])+\])*$/;
/** A pattern of the operator against a path of theirs: only odd ones take JavaScript long, and those are left to Envoy. */
const MAX_TEXT = 1_024;
const NESTED_REPEAT = /\)[*+{]/;

/** A RegexMatcher: the whole text has to match. */
export function matchRegex(matcher: Node, text: string, what: string): Verdict {
  const regex = matcher.get('regex').text();
  if (!SHARED_SYNTAX.test(regex) || (NESTED_REPEAT.test(regex) && text.length > 64) || text.length > MAX_TEXT)
    return unknown(`${what} is compared with the expression ${regex}, which only Envoy can judge`);
  let compiled: RegExp;
  try {
    compiled = new RegExp(`^(?:${regex})$`);
  } catch {
    return unknown(`${what} is compared with the expression ${regex}, which only Envoy can judge`);
  }
  return when(compiled.test(text), `${what} does not match ${regex}`);
}

/** Envoy folds ASCII letters only. */
export function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
