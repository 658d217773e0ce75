#!/usr/bin/env node
// Generates what is derived and therefore not committed: the message types of the .proto files and the
// WebAssembly modules assembled from .wat sources, both into src/gen.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assemble } from './assemble.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const protoDir = join(root, 'tributary/v1');
const watDir = join(root, 'wat');
const out = join(root, 'src/gen');
const require = createRequire(import.meta.url);

const inputs = [protoDir, watDir, join(root, 'bin')].flatMap((dir) =>
  readdirSync(dir).map((name) => join(dir, name)),
);
const stamp = join(out, '.stamp');
const newest = Math.max(...inputs.map((file) => statSync(file).mtimeMs));
if (existsSync(stamp) && statSync(stamp).mtimeMs >= newest) process.exit(0);

mkdirSync(out, { recursive: true });
execFileSync(
  process.execPath,
  [
    require.resolve('@grpc/proto-loader/build/bin/proto-loader-gen-types.js'),
    '--longs=String',
    '--enums=String',
    '--defaults',
    '--oneofs',
    '--grpcLib=@grpc/grpc-js',
    '--importFileExtension=.js',
    '--targetFileExtension=.ts',
    `--includeDirs=${root}`,
    `--outDir=${out}`,
    ...readdirSync(protoDir)
      .filter((name) => name.endsWith('.proto'))
      .map((name) => `tributary/v1/${name}`),
  ],
  { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
);

await assemble(watDir, out);
writeFileSync(stamp, '');
