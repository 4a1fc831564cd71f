import type { Problem } from '../core/problem.ts';
import type { Path } from '../core/schema-shape.ts';
import type { Config } from './schema.ts';

/** Entries that carry the id of another one, so that nobody could tell which of the two is meant. */
export function duplicateProblems(config: Config): Problem[] {
  return [
    ...repeated(['vault', 'keys'], 'id', config.vault.keys),
    ...repeated(['session', 'keys'], 'id', config.session.keys),
    ...repeated(['signing', 'keys'], 'id', config.signing.keys),
    ...Object.entries(config.incomingAuth).flatMap(([name, method]) => {
      if (method.type === 'basic') return repeated(['incomingAuth', name, 'users'], 'username', method.users);
      if (method.type !== 'api_key') return [];
      const path = ['incomingAuth', name, 'keys'];
      return [...repeated(path, 'id', method.keys), ...repeated(path, 'sha256', method.keys)];
    }),
  ];
}

function repeated<K extends string>(path: Path, key: K, entries: readonly Readonly<Record<K, string>>[]): Problem[] {
  const first = new Map<string, number>();
  return entries.flatMap((entry, index): Problem[] => {
    const before = first.get(entry[key]);
    if (before === undefined) {
      first.set(entry[key], index);
      return [];
    }
    return [
      {
        code: 'SCHEMA',
        severity: 'error',
        file: '',
        path: [...path, index, key],
        message: `is the same as in entry ${before}`,
        mend: 'give each entry its own, or remove one',
      },
    ];
  });
}
