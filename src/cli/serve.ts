import { parseArgs } from 'node:util';
import { startApp } from '../app.ts';
import { type Io, processIo } from './io.ts';
import { printProblems } from './report.ts';
import { validateFiles } from './validate-files.ts';

const HELP = `envoy-mcp-identity serve --config sidecar.yaml

Runs the service until SIGTERM or SIGINT, then drains and ends with 0.
Ends with 1, every problem listed, when the configuration is wrong.

The configuration file, the files of its secrets and envoy.bootstrap are
watched; SIGHUP reads them at once. A configuration that is wrong, or that
needs a restart, is rejected with every problem in the log, and the one
before goes on. Calls in flight end on the configuration they began on.

  --config FILE   the configuration file
`;

/** Validates everything, starts the service, and waits for the signal that ends it. */
export async function serve(argv: readonly string[]): Promise<number> {
  const values = readOptions(argv);
  if (typeof values === 'string') {
    process.stderr.write(`serve: ${values}\n\n${HELP}`);
    return 2;
  }
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (!values.config) {
    process.stderr.write(`serve: --config is missing\n\n${HELP}`);
    return 2;
  }
  return run(values.config, processIo());
}

async function run(configFile: string, io: Io): Promise<number> {
  const load = () => validateFiles(configFile, undefined, io.env);
  // Before anything else: until somebody listens to it, a SIGHUP ends the process.
  let reload: ((why: string) => unknown) | undefined;
  let early = false;
  process.on('SIGHUP', () => {
    if (reload) void reload('SIGHUP');
    else early = true;
  });
  const checked = await load();
  printProblems(checked.problems, io.stderr, io);
  const { config } = checked;
  if (!config) return 1;

  const told = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
  try {
    const app = await startApp({ ...checked, config }, load);
    reload = (why) => app.reload(why);
    if (early) void app.reload('SIGHUP');
    await app.stop(await told);
    return 0;
  } catch (error) {
    io.stderr.write(`could not start: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

function readOptions(argv: readonly string[]): { config?: string | undefined; help?: boolean | undefined } | string {
  try {
    return parseArgs({
      args: [...argv],
      options: { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    }).values;
  } catch (error) {
    return error instanceof Error ? error.message : 'wrong usage';
  }
}
