#!/usr/bin/env node
// Generates what is derived and therefore not committed: the message types of the .proto files and the
// WebAssembly modules assembled from .wat sources, both into src/gen.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, existsSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const protoDir = join(root, 'tributary/v1');
const watDir = join(root, 'wat');
const out = join(root, 'src/gen');
const require = createRequire(import.meta.url);

const inputs = [protoDir, watDir]
  .filter((dir) => existsSync(dir))
  .flatMap((dir) => readdirSync(dir).map((name) => join(dir, name)));
const stamp = join(out, '.stamp');
const newest = Math.max(...[...inputs, fileURLToPath(import.meta.url)].map((file) => statSync(file).mtimeMs));
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

if (existsSync(watDir)) {
  const wabt = await (await import('wabt')).default();
  for (const name of readdirSync(watDir).filter((file) => file.endsWith('.wat'))) {
    const module = wabt.parseWat(name, readFileSync(join(watDir, name), 'utf8'), {
      simd: true,
      bulk_memory: true,
    });
    const { buffer } = module.toBinary({});
    const constant = `${name.replace('.wat', '').replace(/-(\w)/g, (_, c) => c.toUpperCase())}Wasm`;
    writeFileSync(
      join(out, name.replace('.wat', '-wasm.ts')),
      `// Assembled from wat/${name}.\nexport const ${constant} = '${Buffer.from(buffer).toString('base64')}';\n`,
    );
  }
}
writeFileSync(stamp, '');
