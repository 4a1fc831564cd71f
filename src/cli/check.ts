import { parseArgs } from 'node:util';
import { type Io, processIo } from './io.ts';
import { printProblems, problemsJson } from './report.ts';
import { type CheckedFiles, validateFiles } from './validate-files.ts';

const HELP = `envoy-mcp-identity check --config sidecar.yaml [--envoy envoy.yaml] [--json]

Prints every problem of the configuration file and of the Envoy configuration that
goes with it: file and line, the place in the file, a code, what is wrong, and how
to mend it. The codes are described in docs/reference/validation.md.

  --config FILE   the configuration file
  --envoy FILE    an Envoy bootstrap (YAML or JSON), or a saved answer of the admin
                  address /config_dump; default: envoy.bootstrap of the configuration
  --json          print one JSON object instead of text

Ends with 0 when there are only warnings or nothing, 1 on errors, 2 on wrong usage.
`;

/** Checks the files that \`argv\` names; the exit code tells whether the service would start with them. */
export async function check(argv: readonly string[], io: Io = processIo()): Promise<number> {
  const options = readOptions(argv);
  if (typeof options === 'string') {
    io.stderr.write(`check: ${options}\n\n${HELP}`);
    return 2;
  }
  if (options.help) {
    io.stdout.write(HELP);
    return 0;
  }
  const checked = await validateFiles(options.config, options.envoy, io.env);
  const errors = checked.problems.filter((problem) => problem.severity === 'error').length;
  if (options.json) {
    io.stdout.write(problemsJson(checked.problems, checked.routeCount, io.cwd));
  } else {
    printProblems(checked.problems, io.stdout, io);
    io.stdout.write(`${summary(checked, errors)}\n`);
  }
  return errors > 0 ? 1 : 0;
}

function readOptions(
  argv: readonly string[],
): { config: string; envoy: string | undefined; json: boolean; help: boolean } | string {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        config: { type: 'string' },
        envoy: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
      strict: true,
    });
    if (!values.config && !values.help) return '--config is missing';
    return { config: values.config ?? '', envoy: values.envoy, json: values.json, help: values.help };
  } catch (error) {
    return error instanceof Error ? error.message : 'wrong usage';
  }
}

function summary({ problems, routeCount }: CheckedFiles, errors: number): string {
  const where =
    routeCount === undefined ? '; no Envoy configuration was checked' : ` in ${counted(routeCount, 'route')}`;
  const warnings = problems.length - errors;
  if (problems.length === 0) return `no problems found${where}`;
  return `${errors === 0 ? 'no errors' : counted(errors, 'error')}${warnings > 0 ? `, ${counted(warnings, 'warning')}` : ''}${where}`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
