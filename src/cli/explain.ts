import { loadConfig } from '../config/load.ts';
import { readSourceFile } from '../config/read-file.ts';
import type { Problem } from '../core/problem.ts';
import { explain as explainRequest } from '../explain/explain.ts';
import { secretsIn, withoutSecrets } from '../explain/hide.ts';
import type { Explanation } from '../explain/verdict.ts';
import type { EnvoyModel } from '../policy/envoy-config/model.ts';
import { readEnvoyConfig } from '../policy/envoy-config/read.ts';
import { WrongUsage } from './explain-input.ts';
import { EXPLAIN_HELP, type ExplainOptions, readExplainOptions } from './explain-options.ts';
import { explanationText } from './explain-report.ts';
import { type Io, processIo } from './io.ts';
import { printProblems } from './report.ts';

const EXIT: Readonly<Record<Explanation['verdict'], number>> = { allow: 0, deny: 1, unknown: 3 };
/** A dump of a large Envoy is long; beyond this it is no Envoy configuration. */
const MAX_ENVOY_BYTES = 256 * 1024 * 1024;

/** Says what would become of a request; the exit code says it too. */
export async function explain(argv: readonly string[], io: Io = processIo()): Promise<number> {
  let options: ExplainOptions | 'help';
  try {
    options = readExplainOptions(argv, io.env, Date.now());
  } catch (error) {
    if (!(error instanceof WrongUsage)) throw error;
    io.stderr.write(`explain: ${error.message}\n\n${EXPLAIN_HELP}`);
    return 2;
  }
  if (options === 'help') {
    io.stdout.write(EXPLAIN_HELP);
    return 0;
  }
  const loaded = loadConfig(options.config, io.env);
  if (!loaded.ok) {
    printProblems(loaded.problems, io.stderr, io);
    return 2;
  }
  const { config } = loaded;
  const file = options.envoy ?? config.envoy.bootstrap;
  if (file === undefined) {
    io.stderr.write('explain: which routes are there? Give --envoy, or set envoy.bootstrap in the configuration\n');
    return 2;
  }
  const model = readEnvoy(file);
  if (Array.isArray(model)) {
    printProblems(model, io.stderr, io);
    return 2;
  }
  try {
    const answer = await explainRequest({ ...options, config, model: model as EnvoyModel, env: io.env });
    if ('wrong' in answer) {
      io.stderr.write(`explain: ${answer.wrong}\n`);
      return 2;
    }
    const keyHeaders = Object.values(config.incomingAuth).flatMap((method) =>
      method.type === 'api_key' ? [method.header] : [],
    );
    const text = options.json ? `${JSON.stringify(answer, null, 2)}\n` : explanationText(answer);
    io.stdout.write(withoutSecrets(text, secretsIn(config, options.sent, keyHeaders)));
    return EXIT[answer.verdict];
  } catch (error) {
    io.stderr.write(`explain: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
}

function readEnvoy(file: string): EnvoyModel | readonly Problem[] {
  const read = readSourceFile(file, MAX_ENVOY_BYTES, 'envoy');
  if (!read.ok) return read.problems;
  const model = readEnvoyConfig(read.document);
  return 'code' in model ? [model] : model;
}
