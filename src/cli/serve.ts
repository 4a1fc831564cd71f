import { parseArgs } from 'node:util';
import { startApp } from '../app.ts';
import { createLog } from '../observe/log.ts';
import { validateFiles } from './validate-files.ts';

const HELP = `envoy-mcp-identity serve --config sidecar.yaml

Runs the service until SIGTERM or SIGINT, then drains and ends with 0.
Ends with 1, every problem listed, when the configuration is wrong.

  --config FILE   the configuration file
`;

/** Validates everything, starts the service, and waits for the signal that ends it. */
export async function serve(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...argv], options: { config: { type: 'string' }, help: { type: 'boolean' } }, strict: true });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (!values.config) {
    process.stderr.write(`serve: --config is missing\n\n${HELP}`);
    return 2;
  }
  const checked = await validateFiles(values.config, undefined, process.env);
  for (const problem of checked.problems) process.stderr.write(`${JSON.stringify(problem)}\n`);
  if (!checked.config) return 1;

  const log = createLog(checked.config.log.level);
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
  try {
    const app = await startApp(checked.config, checked.envoy, log);
    log.info('stopping', { signal: await stopped });
    await app.stop();
    return 0;
  } catch (error) {
    log.error('could not start', { error: error instanceof Error ? error.message : String(error) });
    return 1;
  }
}
