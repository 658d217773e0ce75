#!/usr/bin/env node
// Generates what is derived and therefore not committed: the WebAssembly modules of the training kernels, assembled
// from .wat sources into src/gen.
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assemble } from '../../proto/bin/assemble.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const watDir = join(root, 'wat');
const out = join(root, 'src/gen');
const stamp = join(out, '.stamp');
const inputs = readdirSync(watDir).map((name) => join(watDir, name));
const newest = Math.max(...[...inputs, fileURLToPath(import.meta.url)].map((file) => statSync(file).mtimeMs));
if (!existsSync(stamp) || statSync(stamp).mtimeMs < newest) {
  await assemble(watDir, out);
  writeFileSync(stamp, '');
}
