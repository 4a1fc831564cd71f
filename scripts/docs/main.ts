// npm run docs: writes what docs/reference/ takes from the source. Needs Node 22.18 or newer.
import { writeFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { referencePages } from './pages.ts';

for (const { path, now, wanted } of await referencePages()) {
  if (now === wanted) continue;
  await writeFile(path, wanted);
  console.log(`wrote ${relative(process.cwd(), path)}`);
}
