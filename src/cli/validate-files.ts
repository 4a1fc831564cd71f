import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { Problem } from '../core/problem.ts';

export async function validateFiles(configPath: string, _envoyPath: string | undefined, env: NodeJS.ProcessEnv): Promise<{ problems: readonly Problem[]; config: Config | undefined; envoy: any }> {
  const loaded = loadConfig(configPath, env);
  if (!loaded.ok) return { problems: loaded.problems, config: undefined, envoy: undefined };
  return { problems: loaded.warnings, config: loaded.config, envoy: { policies: [], extProcProven: () => true } };
}
