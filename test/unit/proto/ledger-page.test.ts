import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  canonicalText,
  decodeBase64,
  decodeExportLine,
  decodeHex,
  encodeHex,
  ENTRY_BODIES,
  ERROR_TABLE,
  EXPORT_LINE_BYTES,
  leafHash,
  LedgerAudit,
  LIMITS,
  MUTABLE_FIELDS,
  nodeHash,
  signingKeyFromSeed,
  verifySignature,
  type EntryType,
  type JsonObject,
} from '@tributary/proto';

import { ledgerExample } from '../../support/ledger-example.js';
import { verifyAllWithPage, withoutPython } from '../../support/python-verifier.js';
import { temporaryDirectory } from '../../support/temporary-directory.js';

const why = withoutPython();

describe('proto/LEDGER.md', () => {
  const page = readFileSync(new URL('../../../../proto/LEDGER.md', import.meta.url), 'utf8');
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const example = page.slice(page.indexOf('## A worked example'));
  const lines = example
    .split('\n')
    .filter((line) => line.startsWith('    {'))
    .map((line) => line.trim());
  const [exported, statements] = [lines.slice(0, -3), lines.slice(-3)];
  const value = (name: string): string =>
    new RegExp(`\\| ${name} +\\| \`([0-9a-f]+)\``).exec(example)?.[1] ?? assert.fail(name);
  const hash = (name: string): Uint8Array => decodeHex(value(name), name, 32);

  it('shows a whole export, which is in order', () => {
    assert.equal(`${exported.join('\n')}\n`, ledgerExample());
    const audit = new LedgerAudit({ logKey: hash('key of the log') });
    for (const line of exported) audit.push(bytes(line));
    const { entries, signatures, whole, witnesses } = audit.report();
    assert.deepEqual([entries, signatures, whole, witnesses.length], [3, 1, true, 1]);
  });

  it(`shows what the verifier of a page finds in order${why === undefined ? '' : `: ${why}`}`, async function () {
    if (why !== undefined) this.skip();
    const folder = await temporaryDirectory();
    const file = join(folder.path, 'example');
    await writeFile(file, `${exported.join('\n')}\n`);
    const [said] = verifyAllWithPage([file], value('`logId`'));
    await folder.remove();
    assert.deepEqual([said?.exit, said?.entries], [0, 3], said?.what);
  });

  it('works its hashes and signatures out as they are', () => {
    for (const [seed, name] of ['key of the log', 'key of the models', 'key of the agent'].entries())
      assert.equal(encodeHex(signingKeyFromSeed(new Uint8Array(32).fill(seed + 1)).publicKey), value(name));
    const leaves = exported.flatMap((text) => {
      const line = decodeExportLine(bytes(text));
      return line.kind === 'Entry' ? [leafHash(bytes(line.entry))] : [];
    });
    for (const [index, leaf] of leaves.entries())
      assert.equal(encodeHex(leaf), value(`leaf ${String(index)}`));
    const [first, second, third] = leaves;
    assert.ok(first && second && third);
    assert.equal(encodeHex(nodeHash(first, second)), value('root of 2'));
    assert.equal(encodeHex(nodeHash(hash('root of 2'), third)), value('root of 3'));
    const line = (at: number) =>
      JSON.parse(exported[at] ?? '') as { readonly entry: string; readonly signature: string };
    const { body } = JSON.parse(line(5).entry) as { readonly body: { readonly signature: string } };
    const signed = [
      ['key of the log', line(1).signature],
      ['key of the agent', line(2).signature],
      ['key of the models', body.signature],
    ] as const;
    for (const [index, [key, signature]] of signed.entries()) {
      const statement = statements[index] ?? '';
      assert.equal(canonicalText(JSON.parse(statement) as JsonObject), statement);
      const given = decodeBase64(signature, key, 64);
      assert.ok(verifySignature(hash(key), bytes(statement), given), statement);
    }
  });

  it('names the bounds, the fields and the exit codes as they are', () => {
    for (const bound of [
      LIMITS.ledgerEntryBytes,
      EXPORT_LINE_BYTES,
      LIMITS.documentBytes,
      LIMITS.rosterBytes,
      LIMITS.rootBytes,
    ])
      assert.ok(page.includes(`${bound.toLocaleString('en-US')} bytes`), String(bound));
    assert.ok(page.includes(`at most ${LIMITS.agents.toLocaleString('en-US')})`));
    assert.ok(page.includes(`more than ${String(LIMITS.jsonDepth)} arrays`));
    for (const field of MUTABLE_FIELDS) assert.ok(page.includes(`\`${field}\``), field);
    const codes = Array.from(page.matchAll(/\| (\d+) +\| `([A-Z_]+)`/g), ([, exit, code]) => [
      code,
      Number(exit),
    ]);
    assert.equal(codes.length, 10);
    for (const [code, exit] of codes) assert.equal(ERROR_TABLE[code as keyof typeof ERROR_TABLE].exit, exit);
    const checked = new Set(Array.from(page.matchAll(/`([A-Z]+_[A-Z_]+|USAGE)`/g), ([, code]) => code));
    checked.delete('MUTABLE');
    assert.deepEqual([...checked].sort(), codes.map(([code]) => code).sort());
  });

  it('names members that the bodies have', () => {
    const table = page.slice(
      page.indexOf('## Bodies that are verified'),
      page.indexOf('All of these are texts'),
    );
    const rows = table.split('\n').filter((line) => line.startsWith('| `'));
    assert.equal(rows.length, 8);
    for (const row of rows) {
      const [, types = '', members = ''] = row.split('|');
      for (const [, type] of types.matchAll(/`([a-z]+\.[a-z]+)`/g))
        for (const [, names = ''] of members.matchAll(/`([^`]+)`/g))
          for (const name of names.split(', '))
            assert.ok(name in ENTRY_BODIES[type as EntryType].shape, `${String(type)}.${name}`);
    }
  });
});
