#!/usr/bin/env node
// Generates what is derived and therefore not committed: the WebAssembly modules of the training kernels, assembled
// from .wat sources, and the message types of the inference protocol, both into src/gen.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assemble } from '../../proto/bin/assemble.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const watDir = join(root, 'wat');
const protoDir = join(root, 'oip');
const out = join(root, 'src/gen');
const stamp = join(out, '.stamp');
const require = createRequire(import.meta.url);
const inputs = [watDir, protoDir].flatMap((dir) => readdirSync(dir).map((name) => join(dir, name)));
const newest = Math.max(...[...inputs, fileURLToPath(import.meta.url)].map((file) => statSync(file).mtimeMs));
if (!existsSync(stamp) || statSync(stamp).mtimeMs < newest) {
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
      `--includeDirs=${protoDir}`,
      `--outDir=${out}`,
      'inference.proto',
    ],
    { cwd: protoDir, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  await assemble(watDir, out);
  writeFileSync(stamp, '');
}
