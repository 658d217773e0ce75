import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import {
  decodeHex,
  encodeHex,
  leafHash,
  logIdOf,
  nodeHash,
  readOutline,
  signingKeyFromSeed,
  verifySignature,
} from '@tributary/proto';

describe('proto/LEDGER.md', () => {
  const page = readFileSync(new URL('../../../../proto/LEDGER.md', import.meta.url), 'utf8');
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

  it('works its example out as it is', () => {
    const value = (name: string): string =>
      new RegExp(`\\| ${name} +\\| \`([0-9a-f]+)\``).exec(page)?.[1] ?? assert.fail(name);
    const lines = page.split('\n').filter((line) => line.startsWith('    {'));
    const [first = '', second = '', statement = ''] = lines.map((line) => line.trim());
    const { publicKey } = signingKeyFromSeed(new Uint8Array(32).fill(1));
    const [left, right] = [first, second].map((line, seq) => {
      assert.equal(readOutline(bytes(line), seq).seq, seq);
      return leafHash(bytes(line));
    });
    assert.ok(left && right);
    assert.equal(encodeHex(publicKey), value('public key'));
    assert.equal(logIdOf(publicKey), value('logId'));
    assert.deepEqual([encodeHex(left), encodeHex(right)], [value('leaf 0'), value('leaf 1')]);
    assert.equal(encodeHex(nodeHash(left, right)), value('root of 2'));
    assert.ok(statement.includes(value('root of 2')) && statement.includes('"treeSize":"2"'));
    assert.ok(verifySignature(publicKey, bytes(statement), decodeHex(value('signature'), 'signature', 64)));
  });
});
