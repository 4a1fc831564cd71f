import { dirname, resolve } from 'node:path';
import type { Problem } from '../core/problem.ts';
import { schemaProblems } from '../core/schema-problems.ts';
import type { SourceDocument } from '../core/source-document.ts';
import { accountProblems } from './accounts.ts';
import { duplicateProblems } from './duplicates.ts';
import { keyProblems } from './keys.ts';
import { listenerProblems } from './listeners.ts';
import { methodProblems } from './methods.ts';
import { tlsFileProblems, withAbsolutePaths } from './paths.ts';
import { readSourceFile } from './read-file.ts';
import { type Config, configSchema } from './schema.ts';
import { readSecrets } from './secrets.ts';

export type Loaded =
  | { readonly ok: true; readonly config: Config; readonly warnings: Problem[] }
  | {
      readonly ok: false;
      readonly problems: Problem[];
      /** There when the shape is right: enough to check an Envoy configuration against, never to run with. */
      readonly draft?: Config;
    };

const MAX_CONFIG_BYTES = 16 * 1024 * 1024;

/**
 * Reads the config file, its secrets and everything in it that can be checked without Envoy. Paths in the result are
 * absolute and secrets are filled in. Problems carry the file as it was named, path and line, and never a value.
 * @param file path of the config file
 * @param env where `{env: NAME}` is looked up
 */
export function loadConfig(file: string, env: Readonly<Record<string, string | undefined>>): Loaded {
  const read = readSourceFile(file, MAX_CONFIG_BYTES, 'own');
  if (!read.ok) return read;
  const { document } = read;
  const parsed = configSchema.safeParse(document.value);
  if (!parsed.success)
    return { ok: false, problems: placed(schemaProblems(configSchema, document.value, parsed.error), document) };
  const folder = dirname(resolve(file));
  const config = withAbsolutePaths(parsed.data, folder);
  const unread = readSecrets(config, folder, env);
  const problems = placed(
    [
      ...unread,
      ...tlsFileProblems(config),
      ...listenerProblems(config),
      ...duplicateProblems(config),
      ...methodProblems(config),
      ...accountProblems(config),
      ...keyProblems(config),
    ],
    document,
  );
  const wrong = problems.some((problem) => problem.severity === 'error');
  return wrong ? { ok: false, problems, draft: config } : { ok: true, config, warnings: problems };
}

/** Adds file and line to problems that know their path. */
function placed(problems: readonly Problem[], document: SourceDocument): Problem[] {
  return problems.map((problem) => {
    const line = document.lineOf(problem.path);
    return { ...problem, file: document.file, ...(line === undefined ? {} : { line }) };
  });
}
