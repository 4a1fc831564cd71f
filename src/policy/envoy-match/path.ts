import type { Node } from '../envoy-config/node.ts';
import { asciiLower, matchRegex } from './text.ts';
import { no, unknown, type Verdict, when } from './verdict.ts';

/** Spellings that Envoy may rewrite before it looks for a route, by settings and runtime flags that are not all known here. */
const REWRITABLE = /\/\/|\\|%2f|%5c|\/\.{1,2}(?:\/|$)|\/%2e|\/\.%2e/i;

/** @returns why no route can be named for this path; undefined when it is a plain one */
export function pathInDoubt(path: string, table: Node): string | undefined {
  const [plain = ''] = path.split('?');
  if (REWRITABLE.test(plain))
    return 'the path has `//`, dot segments or escaped slashes, which Envoy may rewrite first';
  if (plain.includes(';') && table.get('ignore_path_parameters_in_path_matching').flag())
    return 'the path has parameters behind `;`, which this route table leaves out';
  return undefined;
}

/** The part of a RouteMatch that looks at the path; the query never counts. */
export function matchPath(match: Node, pathWithQuery: string, httpMethod: string): Verdict {
  const [path = ''] = pathWithQuery.split('?');
  const sensitive = match.get('case_sensitive');
  const fold = (text: string) => (sensitive.there && !sensitive.flag() ? asciiLower(text) : text);
  const [at, prefix, exact, separated] = [
    fold(path),
    match.get('prefix'),
    match.get('path'),
    match.get('path_separated_prefix'),
  ];
  if (prefix.there) return when(at.startsWith(fold(prefix.text())), `the path does not begin with ${prefix.text()}`);
  if (exact.there) return when(at === fold(exact.text()), `the path is not ${exact.text()}`);
  if (separated.there) {
    const start = fold(separated.text());
    return when(at === start || at.startsWith(`${start}/`), `the path is not at or below ${separated.text()}`);
  }
  const regex = match.get('safe_regex');
  if (regex.there) return matchRegex(regex, path, 'the path');
  if (match.get('connect_matcher').there)
    return httpMethod === 'CONNECT' ? unknown('a CONNECT request') : no('the request is no CONNECT');
  return unknown('the route matches paths in a way that only Envoy can judge');
}
