import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Assembles each .wat file of `watDir` into a TypeScript module of `out` that holds its bytes as base64. */
export async function assemble(watDir, out) {
  const wabt = await (await import('wabt')).default();
  mkdirSync(out, { recursive: true });
  for (const name of readdirSync(watDir).filter((file) => file.endsWith('.wat'))) {
    const module = wabt.parseWat(name, readFileSync(join(watDir, name), 'utf8'), {
      simd: true,
      bulk_memory: true,
    });
    module.validate();
    const { buffer } = module.toBinary({});
    const constant = `${name.replace('.wat', '').replace(/-(\w)/g, (_, c) => c.toUpperCase())}Wasm`;
    writeFileSync(
      join(out, name.replace('.wat', '-wasm.ts')),
      `// Assembled from wat/${name}.\nexport const ${constant} = '${Buffer.from(buffer).toString('base64')}';\n`,
    );
  }
}
