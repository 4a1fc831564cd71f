// Which test files to run.
import { existsSync, globSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError } from './say.mjs';

/**
 * Splits the arguments of `npm test -- …` into options for node and test files. Without files: all of them.
 * `node --test` is content with zero files for a pattern that matches nothing; we are not.
 * @param {string[]} args options as `--name=value`, and files, folders or globs, relative to `root`
 * @param {string} root
 */
export function selectTests(args, root) {
  const options = args.filter((arg) => arg.startsWith('-'));
  const patterns = args.filter((arg) => !arg.startsWith('-'));
  const files = (patterns.length > 0 ? patterns : ['test']).flatMap((pattern) => {
    const found = expand(pattern, root);
    if (found.length === 0) {
      throw new SetupError(`No test file matches ${pattern}`, [
        'Name a file, a folder or a quoted glob: npm test -- test/unit/core.',
        'Options for node are written with an equals sign: npm test -- --test-name-pattern=refresh.',
      ]);
    }
    return found;
  });
  return { options, files: [...new Set(files)] };
}

/**
 * @param {string} pattern
 * @param {string} root
 * @returns {string[]}
 */
function expand(pattern, root) {
  const path = join(root, pattern);
  if (!existsSync(path)) return globSync(pattern, { cwd: root }).sort();
  if (!statSync(path).isDirectory()) return [pattern];
  return readdirSync(path, { withFileTypes: true })
    .sort((a, b) => a.name.localeCompare(b.name))
    .flatMap((entry) => {
      const child = join(pattern, entry.name);
      if (entry.isDirectory()) return expand(child, root);
      return entry.name.endsWith('.test.ts') ? [child] : [];
    });
}
