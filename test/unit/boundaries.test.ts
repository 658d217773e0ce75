import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { ESLint } from 'eslint';

const root = join(import.meta.dirname, '../../..');

/** First TypeScript file of a folder: lint rules go by path, and typed linting wants a file of the project. */
function fileIn(folder: string): string {
  const name = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).find((file) =>
    file.endsWith('.ts'),
  );
  assert.ok(name, `no TypeScript file in ${folder}`);
  return join(root, folder, name);
}

const eslint = new ESLint({ cwd: root });

async function rulesBroken(filePath: string, code: string): Promise<string[]> {
  const [result] = await eslint.lintText(code, { filePath });
  assert.ok(result);
  return result.messages.map((message) => message.ruleId ?? `fatal: ${message.message}`);
}

const importOf = (specifier: string): string =>
  `import * as forbidden from '${specifier}';\nexport { forbidden };\n`;

const FORBIDDEN_IMPORTS: readonly (readonly [folder: string, specifier: string])[] = [
  ['proto/src', '@tributary/coordinator'],
  ['proto/src', '@tributary/edge-agent'],
  ['proto/src', '../../test/support/federation.js'],
  ['proto/src/ledger', '../node/durable-file.js'],
  ['proto/src/ledger', 'node:fs/promises'],
  ['proto/src/node', '@tributary/coordinator'],
  ['coordinator/src/adapters', '@tributary/edge-agent'],
  ['coordinator/src/adapters', '@tributary/proto/internal/limits.js'],
  ['coordinator/src/app', '../main.js'],
  ['coordinator/src/app', '@tributary/edge-agent'],
  ['coordinator/src/cli', '@tributary/edge-agent'],
  ['coordinator/src/domain', 'node:fs'],
  ['coordinator/src/domain', 'node:crypto'],
  ['coordinator/src/domain', '@grpc/grpc-js'],
  ['coordinator/src/domain', '@tributary/proto/grpc'],
  ['coordinator/src/domain', '@tributary/proto/node'],
  ['coordinator/src/domain', '../adapters/store/level-ledger-store.js'],
  ['coordinator/src/domain', '../app/federation.js'],
  ['edge-agent/src/domain', 'node:fs'],
  ['edge-agent/src/domain', '@tributary/proto/node'],
  ['edge-agent/src/domain', '@tensorflow/tfjs-core'],
  ['edge-agent/src/domain', '../adapters/system/clock.js'],
  ['edge-agent/src/adapters', '@tributary/coordinator'],
  ['edge-agent/src/app', '@tributary/coordinator'],
  ['edge-agent/src/app', '../config.js'],
];

const IMPURITIES: readonly (readonly [rule: string, code: string])[] = [
  ['no-restricted-properties', 'export const now = Date.now();\n'],
  ['no-restricted-properties', 'export const random = Math.random();\n'],
  ['no-restricted-syntax', 'export const today = new Date();\n'],
  ['no-restricted-globals', 'export const variables = process.env;\n'],
  ['no-restricted-globals', 'export const later = (act: () => void) => setTimeout(act, 1);\n'],
  ['no-restricted-globals', "export const say = () => { console.log('x'); };\n"],
];

describe('import boundaries', function () {
  this.timeout(60_000);

  for (const [folder, specifier] of FORBIDDEN_IMPORTS) {
    it(`${folder} may not import ${specifier}`, async () => {
      const rules = await rulesBroken(fileIn(folder), importOf(specifier));
      assert.ok(rules.includes('no-restricted-imports'), `rules broken: ${rules.join(', ') || 'none'}`);
    });
  }

  it('lets domain code import the contract and its own folder', async () => {
    for (const folder of ['coordinator/src/domain', 'edge-agent/src/domain']) {
      const code = "import { LIMITS } from '@tributary/proto';\nexport const limit = LIMITS.agents;\n";
      assert.deepEqual(await rulesBroken(fileIn(folder), code), []);
    }
  });

  for (const [rule, code] of IMPURITIES) {
    it(`domain code may not: ${code.trim()}`, async () => {
      for (const folder of ['coordinator/src/domain', 'edge-agent/src/domain']) {
        assert.ok((await rulesBroken(fileIn(folder), code)).includes(rule));
      }
    });
  }

  it('keeps the environment to config.ts', async () => {
    const code = 'export const home = process.env;\n';
    for (const folder of ['proto/src', 'coordinator/src/adapters', 'edge-agent/src/adapters']) {
      assert.ok((await rulesBroken(fileIn(folder), code)).includes('no-restricted-properties'));
    }
  });
});
