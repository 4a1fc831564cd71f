import { dirname, resolve } from 'node:path';
import { grpcAddress } from '../config/listeners.ts';
import { loadConfig } from '../config/load.ts';
import { readSourceFile } from '../config/read-file.ts';
import type { Config } from '../config/schema.ts';
import { secretFiles } from '../config/secrets.ts';
import { worldOf } from '../config/world.ts';
import type { Problem } from '../core/problem.ts';
import { readEnvoyConfig } from '../policy/envoy-config/read.ts';
import { type EnvoyValidation, validateEnvoy } from '../policy/validate-envoy.ts';

export interface CheckedFiles {
  readonly problems: readonly Problem[];
  /** There when nothing is wrong but warnings. */
  readonly config: Config | undefined;
  /** What the Envoy configuration proves; nothing without one. */
  readonly envoy: Pick<EnvoyValidation, 'policies' | 'proofs'>;
  /** How many routes were looked at; undefined when no Envoy configuration was read. */
  readonly routeCount: number | undefined;
  /** What was read, or would have been: absolute paths. Another content of one of them may give another result. */
  readonly files: readonly string[];
}

/** A dump of a large Envoy is long; beyond this it is no Envoy configuration. */
const MAX_ENVOY_BYTES = 256 * 1024 * 1024;

/**
 * Checks the config file and the Envoy configuration that goes with it, without network.
 * @param envoyFile a bootstrap or a saved `/config_dump`; default: `envoy.bootstrap` of the config
 */
export async function validateFiles(
  configFile: string,
  envoyFile: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<CheckedFiles> {
  const loaded = loadConfig(configFile, env);
  const config = loaded.ok ? loaded.config : loaded.draft;
  const problems = loaded.ok ? [...loaded.warnings] : [...loaded.problems];
  const file = envoyFile ?? config?.envoy.bootstrap;
  const envoy = config && file !== undefined ? checkEnvoyFile(file, config) : undefined;
  problems.push(...(envoy?.problems ?? []));
  const wrong = problems.some((problem) => problem.severity === 'error');
  return {
    problems,
    config: wrong ? undefined : config,
    envoy: { policies: envoy?.policies ?? [], proofs: envoy?.proofs ?? new Map() },
    routeCount: envoy?.routeCount,
    files: [
      resolve(configFile),
      ...(config ? secretFiles(config, dirname(resolve(configFile))) : []),
      ...(file === undefined ? [] : [resolve(file)]),
    ],
  };
}

function checkEnvoyFile(file: string, config: Config): EnvoyValidation {
  const failed = (problems: Problem[]): EnvoyValidation => ({
    problems,
    routeCount: 0,
    policies: [],
    proofs: new Map(),
  });
  const read = readSourceFile(file, MAX_ENVOY_BYTES, 'envoy');
  if (!read.ok) return failed(read.problems);
  const model = readEnvoyConfig(read.document);
  if ('code' in model) return failed([model]);
  return validateEnvoy(model, worldOf(config), { maxBody: config.limits.maxBody, grpcAddress: grpcAddress(config) });
}
