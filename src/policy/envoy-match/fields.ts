import type { HeaderFields } from '../../core/request-facts.ts';
import type { Node } from '../envoy-config/node.ts';
import { matchRegex, matchText } from './text.ts';
import { no, unknown, type Verdict, when, YES } from './verdict.ts';

/** A HeaderMatcher. */
export function matchHeader(matcher: Node, headers: HeaderFields): Verdict {
  const name = matcher.get('name').text().toLowerCase();
  const values = headers.all(name);
  const what = `the header ${name}`;
  const inverted = matcher.get('invert_match').flag();
  const present = matcher.get('present_match');
  const only = matcher.value as Record<string, unknown>;
  const isPresence = present.there || !Object.keys(only).some((key) => CONDITIONS.test(key));
  if (isPresence) {
    const wanted = present.there ? present.flag() : true;
    return when((values.length > 0 === wanted) !== inverted, `${what} is ${values.length > 0 ? 'there' : 'missing'}`);
  }
  if (values.length === 0 && !matcher.get('treat_missing_header_as_empty').flag()) return no(`${what} is missing`);
  const verdict = matchCopies(matcher, values, what);
  if (!inverted || verdict.kind === 'unknown') return verdict;
  return verdict.kind === 'yes' ? no(`${what} matches, and the route wants it not to`) : YES;
}

/** Versions of Envoy differ in whether copies are compared one by one, or joined with commas. */
function matchCopies(matcher: Node, values: readonly string[], what: string): Verdict {
  const joined = matchValue(matcher, values.join(','), what);
  const apart = values.map((value) => matchValue(matcher, value, what));
  const one = apart.find(({ kind }) => kind === 'yes') ?? apart.find(({ kind }) => kind === 'unknown') ?? apart[0];
  return one === undefined || one.kind === joined.kind ? joined : unknown(`${what} stands there more than once`);
}

const CONDITIONS = /match$|Match$/;

function matchValue(matcher: Node, value: string, what: string): Verdict {
  const string = matcher.get('string_match');
  if (string.there) return matchText(string, value, what);
  const compare: readonly [string, (wanted: string) => boolean][] = [
    ['exact_match', (wanted) => value === wanted],
    ['prefix_match', (wanted) => value.startsWith(wanted)],
    ['suffix_match', (wanted) => value.endsWith(wanted)],
    ['contains_match', (wanted) => value.includes(wanted)],
  ];
  for (const [kind, holds] of compare) {
    const wanted = matcher.get(kind);
    if (wanted.there)
      return when(holds(wanted.text()), `${what} is not ${kind.replace('_match', '')} ${wanted.text()}`);
  }
  const regex = matcher.get('safe_regex_match');
  if (regex.there) return matchRegex(regex, value, what);
  const range = matcher.get('range_match');
  if (range.there && !/^[+-]?\d+$/.test(value)) return no(`${what} is no whole number`);
  if (range.there && value.length <= 15) {
    const [number, start, end] = [Number(value), range.get('start').number() ?? 0, range.get('end').number() ?? 0];
    return when(number >= start && number < end, `${what} is not in the range`);
  }
  return unknown(`${what} is compared in a way that only Envoy can judge`);
}

/** A QueryParameterMatcher; of several values the first counts, and none is decoded. */
export function matchQuery(matcher: Node, path: string): Verdict {
  const name = matcher.get('name').text();
  const query = path.includes('?') ? path.slice(path.indexOf('?') + 1) : '';
  const value = query
    .split('&')
    .map((pair) => [pair.split('=')[0] as string, pair.includes('=') ? pair.slice(pair.indexOf('=') + 1) : ''] as const)
    .find(([key]) => key === name)?.[1];
  const what = `the query parameter ${name}`;
  if (/[%+]/.test(query)) return unknown(`${what}: the query holds encoded characters`);
  const present = matcher.get('present_match');
  if (present.there)
    return when((value !== undefined) === present.flag(), `${what} is ${value === undefined ? 'missing' : 'there'}`);
  if (value === undefined) return no(`${what} is missing`);
  const string = matcher.get('string_match');
  return string.there ? matchText(string, value, what) : YES;
}
