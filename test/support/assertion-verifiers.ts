import { execFile, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheFolder, putInPlace } from '../../scripts/lib/cache.mjs';
import { fences } from '../docs/fences.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const TSC = join(ROOT, 'node_modules/.bin/tsc');
const RECIPE = join(ROOT, 'docs/recipes/assertions.md');
const INSTALL_LIMIT_MS = 100_000;
const RUN_LIMIT_MS = 30_000;

export type Kind = 'jws' | 'hmac';
export type Language = 'Node' | 'Python' | 'Go';

export interface Case {
  readonly assertion: string;
  readonly method: string;
  readonly body: Buffer;
}

/** Values in place of those that the page uses. */
export interface Setting {
  readonly kind: Kind;
  readonly issuer: string;
  readonly backend: string;
  readonly resource: string;
  /** For `hmac`: what `signing-key` prints. */
  readonly key: string | undefined;
}

/** A verdict for each case: null when it is accepted, else what the library says. */
export type Judge = (cases: readonly Case[]) => Promise<(string | null)[]>;

/** Why the example of that language cannot run on this machine; undefined when it can. */
export async function missingFor(language: Exclude<Language, 'Node'>): Promise<string | undefined> {
  const [program, option]: [string, string] = language === 'Go' ? ['go', 'version'] : [pythonProgram(), '--version'];
  try {
    await run(program, [option]);
    return undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return `${program} is not on this machine`;
    throw error;
  }
}

/** Makes the example of the documentation ready to run, with nothing but the values of its constants changed. */
export async function startJudge(language: Language, setting: Setting): Promise<{ judge: Judge; stop: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'emi-verify-'));
  const env = { ...process.env, ...(setting.key === undefined ? {} : { ASSERTION_KEY: setting.key }) };
  try {
    const command = await PREPARE[language](folder, exampleOf(language, setting));
    return {
      judge: (cases) => judgedBy(command, cases, { ...env, ...command.env }),
      stop: () => rmSync(folder, { recursive: true, force: true }),
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

const PREPARE: Record<Language, (folder: string, example: string) => Promise<Command>> = {
  Node: prepareNode,
  Python: preparePython,
  Go: prepareGo,
};

function exampleOf(language: Language, { kind, issuer, backend, resource }: Setting): string {
  const name = { Node: 'js', Python: 'python', Go: 'go' }[language];
  const found = fences(readFileSync(RECIPE, 'utf8')).find(({ info }) => info[0] === name && info[1] === kind);
  if (!found) throw new Error(`${RECIPE} has no example for ${name} ${kind}`);
  return found.text
    .replaceAll('https://mcp.example.com/ledger/mcp', resource)
    .replaceAll('https://mcp.example.com', issuer)
    .replaceAll(/(["'])ledger\1/g, `$1${backend}$1`);
}

/** The package as it is published, in the `node_modules` of somebody who uses it. */
export async function installPackage(folder: string): Promise<void> {
  const home = join(folder, 'package');
  mkdirSync(home);
  cpSync(join(ROOT, 'package.json'), join(home, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(home, 'node_modules'));
  await run(process.execPath, [TSC, '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', join(home, 'dist')]);
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(home, join(folder, 'node_modules/envoy-mcp-identity'));
}

async function prepareNode(folder: string, example: string): Promise<Command> {
  await installPackage(folder);
  writeFileSync(join(folder, 'example.mjs'), example);
  writeFileSync(
    join(folder, 'driver.mjs'),
    `import { text } from 'node:stream/consumers';
import { whoCalls } from './example.mjs';
const verdicts = [];
for (const { assertion, method, body } of JSON.parse(await text(process.stdin))) {
  const request = { method, headers: { 'x-forwarded-user-assertion': assertion } };
  verdicts.push(await whoCalls(request, Buffer.from(body, 'base64')).then(() => null, (error) => error.code ?? String(error)));
}
console.log(JSON.stringify(verdicts));
`,
  );
  return { program: process.execPath, args: [join(folder, 'driver.mjs')] };
}

async function preparePython(folder: string, example: string): Promise<Command> {
  writeFileSync(join(folder, 'verify_assertion.py'), example);
  const packages = await pythonPackages();
  const driver = join(ROOT, 'test/verify/python/driver.py');
  return {
    program: pythonProgram(),
    args: [driver],
    env: { PYTHONPATH: `${folder}:${packages}`, PYTHONDONTWRITEBYTECODE: '1' },
  };
}

function pythonProgram(): string {
  return process.env['PYTHON'] ?? 'python3';
}

/** Installed once into the cache folder, for the Python at hand: one of the packages is compiled. */
async function pythonPackages(): Promise<string> {
  const python = pythonProgram();
  const requirements = join(ROOT, 'test/verify/python/requirements.txt');
  const versions = readFileSync(requirements, 'utf8')
    .match(/^[a-z].*$/gm)
    ?.map((line) => line.replace('==', '-'));
  const { stdout } = await run(python, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']);
  const path = join(cacheFolder(ROOT, process.env), ['python', stdout.trim(), ...(versions ?? [])].join('-'));
  if (existsSync(path)) return path;
  await putInPlace(path, async (folder: string) => {
    const made = join(folder, 'packages');
    const install = ['-m', 'pip', 'install', '--quiet', '--only-binary', ':all:', '--target', made, '-r', requirements];
    await run(python, install, { timeout: INSTALL_LIMIT_MS });
    return made;
  });
  return path;
}

async function prepareGo(folder: string, example: string): Promise<Command> {
  cpSync(join(ROOT, 'test/verify/go'), folder, { recursive: true });
  mkdirSync(join(folder, 'assertion'));
  writeFileSync(join(folder, 'assertion/assertion.go'), example);
  const program = join(folder, 'driver');
  await run('go', ['build', '-o', program, '.'], { cwd: folder, timeout: INSTALL_LIMIT_MS });
  return { program, args: [] };
}

async function judgedBy(
  { program, args }: Command,
  cases: readonly Case[],
  env: NodeJS.ProcessEnv,
): Promise<(string | null)[]> {
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'], timeout: RUN_LIMIT_MS });
  child.stdin.end(JSON.stringify(cases.map((one) => ({ ...one, body: one.body.toString('base64') }))));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  try {
    return JSON.parse(stdout) as (string | null)[];
  } catch {
    throw new Error(`${program} gave no verdicts: ${stdout.slice(0, 500)}\n${stderr.slice(-2000)}`);
  }
}
