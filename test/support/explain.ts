import { explain } from '../../src/cli/explain.ts';
import type { Explanation } from '../../src/explain/verdict.ts';

export interface Explained {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command in this process. */
export async function runExplain(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Explained> {
  let [stdout, stderr] = ['', ''];
  const io = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    env,
    cwd: '/',
  };
  return { code: await explain(argv, io), stdout, stderr };
}

/** The same with `--json`, which must have been printed. */
export async function explained(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Explained & { readonly json: Explanation }> {
  const done = await runExplain([...argv, '--json'], env);
  if (done.stdout === '') throw new Error(done.stderr);
  return { ...done, json: JSON.parse(done.stdout) as Explanation };
}
