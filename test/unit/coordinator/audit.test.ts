import assert from 'node:assert/strict';
import { readFile, rename, writeFile } from 'node:fs/promises';

import type { TributaryError } from '@tributary/proto';
import {
  decodeExportLine,
  encodeBase64,
  encodeExportLine,
  ERROR_TABLE,
  headLine,
  leafHash,
  logIdOf,
  signTreeHead,
  type AuditTerms,
} from '@tributary/proto';
import { auditFile } from '@tributary/coordinator/internal/cli/audit/export-file.js';
import fc from 'fast-check';

import { auditCommands } from '../../support/audit-commands.js';
import { decided, LOG, NEXT_ROOT, ROOT, SITES } from '../../support/audited-ledger.js';
import { found, type Found } from '../../support/audit-verdict.js';
import { CliSession } from '../../support/cli-session.js';
import {
  verifyAllWithPage,
  verifyAllWithPython,
  verifyWithPython,
  withoutPython,
} from '../../support/python-verifier.js';
import { keyOf } from '../../support/roster.js';

const KEY = encodeBase64(LOG.publicKey);
const why = withoutPython();
const both = why === undefined ? 'both verifiers' : `one verifier (${why})`;

describe('tributary audit', function () {
  this.timeout(100_000);
  const audit = auditCommands(
    { site: 'east', size: 7 },
    { site: 'north', size: 12 },
    { site: 'west', size: 12 },
  );
  const { at, run, exported } = audit;
  beforeEach(() => writeFile(at('root.json'), JSON.stringify(ROOT)));

  /** What both verifiers say; they must agree. */
  async function verdict(
    file: string,
    terms: AuditTerms = { logKey: LOG.publicKey },
    ...words: readonly string[]
  ): Promise<Found> {
    const own = await found(file, terms);
    if (why !== undefined) return own;
    const key = terms.logKey === undefined ? [] : ['--log-key', encodeBase64(terms.logKey)];
    const { code = 'OK', line, exit, what } = verifyWithPython(file, ...key, ...words);
    assert.deepEqual([code, line], [own.code, own.line], what);
    assert.equal(exit, code === 'OK' ? 0 : ERROR_TABLE[code as keyof typeof ERROR_TABLE].exit);
    return own;
  }
  /** Of many files at once, with the key of the log. */
  async function verdicts(contents: readonly Uint8Array[]): Promise<readonly Found[]> {
    const files = contents.map((_, index) => at(`many-${String(index)}`));
    for (const [index, content] of contents.entries()) await writeFile(files[index] ?? '', content);
    const own: Found[] = [];
    for (const file of files) own.push(await found(file, { logKey: LOG.publicKey }));
    if (why === undefined) {
      const other = verifyAllWithPython(files, '--log-key', KEY);
      for (const [index, { code = 'OK', line, what }] of other.entries())
        assert.deepEqual([code, line], [own[index]?.code, own[index]?.line], what);
    }
    return own;
  }
  const rewritten = async (name: string, change: (lines: string[]) => readonly string[]): Promise<string> => {
    const file = at(`${name}.changed`);
    const lines = (await readFile(at(name), 'utf8')).trimEnd().split('\n');
    await writeFile(file, `${change(lines).join('\n')}\n`);
    return file;
  };

  it(`exports everything, and ${both} find it in order`, async () => {
    const file = await exported('all');
    const { entries, redacted, unchecked, signatures, witnesses, whole } = await auditFile(file, {
      logKey: LOG.publicKey,
      root: ROOT,
    });
    assert.deepEqual([entries, redacted, unchecked, whole], [audit.ledger.bytes.length, 0, 0, true]);
    assert.deepEqual(
      witnesses.map(({ site, treeSize }) => [site, treeSize]),
      [
        ['north', 12],
        ['west', 12],
        ['east', 7],
      ],
    );
    if (why !== undefined) return;
    const python = verifyWithPython(file, '--log-key', KEY, '--root', at('root.json'), '--witnesses', '3');
    assert.equal(python.exit, 0, python.what);
    assert.deepEqual([python.entries, python.signatures, python.unchecked], [entries, signatures, unchecked]);
    assert.deepEqual(python.witnesses, { east: 7, north: 12, west: 12 });
  });

  it('verifies what the coordinator shows, keeps its head, and finds it again in a longer ledger', async () => {
    const session = await run('verify', '--root', at('root.json'), '--save-head', at('head'), '-o', 'json');
    const report = JSON.parse(session.terminal.results.join('')) as { readonly signatures: number };
    assert.equal(report.signatures, 8);
    await audit.ledger.add(decided('north', 'job.approved'));
    await run('verify', '--head', at('head'), '--log-key', KEY);
    const file = await exported('longer');
    assert.equal(
      (await verdict(file, { seen: await audit.ledger.head(19) }, '--head', at('head'))).code,
      'OK',
    );
  });

  it(`names the line and entry of a flipped byte in each kind of line, in ${both} alike`, async () => {
    const files = [
      await exported('all'),
      await exported('part', '--job', 'loans', '--redact', 'round.opened'),
    ];
    for (const file of files) {
      const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
      const damaged = lines.map((line, index) => {
        const bytes = Buffer.from(line);
        const middle = bytes.length >> 1;
        bytes[middle] = (bytes[middle] ?? 0) ^ 1;
        return Buffer.concat([
          Buffer.from(
            lines
              .slice(0, index)
              .map((before) => `${before}\n`)
              .join(''),
          ),
          bytes,
          Buffer.from(['', ...lines.slice(index + 1), ''].join('\n')),
        ]);
      });
      for (const [index, { code, line }] of (await verdicts(damaged)).entries()) {
        assert.notEqual(code, 'OK');
        // What a header says of the part is under no signature: the digest at the end covers it.
        assert.ok(
          line === index + 1 || (index === 0 && line === lines.length),
          `${String(line)} for ${String(index)}`,
        );
      }
    }
  });

  it(`finds damage anywhere, in ${both} alike`, async () => {
    for (const words of [[], ['--redact', 'alarm.raised', '--job', 'loans']]) {
      const bytes = await readFile(await exported(`of-${String(words.length)}`, ...words));
      const place = fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }));
      const damaged = fc.sample(place, 60).map(([at, mask]) => {
        const copy = Buffer.from(bytes);
        copy[at] = (copy[at] ?? 0) ^ mask;
        return copy;
      });
      for (const { code } of await verdicts(damaged)) assert.notEqual(code, 'OK');
    }
  });

  it('names what was dropped, moved, doubled or cut off', async () => {
    const file = await exported('all');
    const first = 5; // header, head and three cosignatures
    const changes: readonly (readonly [
      string,
      (lines: string[]) => readonly string[],
      string,
      number | null,
    ])[] = [
      ['dropped', (lines) => lines.toSpliced(first + 6, 1), 'EXPORT_CORRUPT', 6],
      [
        'moved',
        (lines) => lines.toSpliced(first + 4, 2, lines[first + 5] ?? '', lines[first + 4] ?? ''),
        'EXPORT_CORRUPT',
        4,
      ],
      ['doubled', (lines) => lines.toSpliced(first + 3, 0, lines[first + 3] ?? ''), 'EXPORT_CORRUPT', 4],
      ['cut off', (lines) => lines.slice(0, first + 8), 'EXPORT_CORRUPT', 8],
      [
        'without its last entry',
        (lines) => lines.toSpliced(-2, 1),
        'EXPORT_CORRUPT',
        audit.ledger.bytes.length - 1,
      ],
      ['without a cosignature', (lines) => lines.toSpliced(3, 1), 'EXPORT_CORRUPT', null],
      ['without its head', (lines) => lines.toSpliced(1, 1), 'EXPORT_CORRUPT', null],
      ['with more at its end', (lines) => [...lines, lines.at(-1) ?? ''], 'EXPORT_CORRUPT', null],
    ];
    const expected: (readonly unknown[])[] = [];
    for (const [what, change, code, seq] of changes) {
      const changed = await rewritten('all', change);
      const { code: said, seq: place, line } = await verdict(changed);
      assert.deepEqual([said, place], [code, seq], what);
      await rename(changed, at(what));
      expected.push([said, line]);
    }
    if (why === undefined) {
      const files = changes.map(([what]) => at(what));
      const page = verifyAllWithPage(files, KEY).map(({ code, line }) => [code, line]);
      assert.deepEqual(page, expected);
    }
    const bytes = await readFile(file);
    await writeFile(at('torn'), bytes.subarray(0, bytes.length - 20));
    assert.equal((await verdict(at('torn'))).code, 'EXPORT_CORRUPT');
    await writeFile(at('unended'), bytes.subarray(0, bytes.length - 1));
    assert.equal((await verdict(at('unended'))).code, 'EXPORT_CORRUPT');
    await writeFile(at('empty'), '');
    assert.deepEqual(await verdict(at('empty')), { code: 'EXPORT_CORRUPT', line: 1, seq: null });
  });

  it('narrows a rewritten entry down to those after the last head that somebody signed', async () => {
    await exported('all');
    const rewrite = (seq: number) => (lines: string[]) => {
      const line = decodeExportLine(Buffer.from(lines[5 + seq] ?? ''));
      assert.ok(line.kind === 'Entry');
      const entry = line.entry.replace('"actor":"', '"actor":"x');
      return lines.toSpliced(5 + seq, 1, Buffer.from(encodeExportLine(rehashed(line, entry))).toString());
    };
    const late = await verdict(await rewritten('all', rewrite(14)));
    assert.deepEqual([late.code, late.seq], ['PROOF_INVALID', 12]);
    const early = await verdict(await rewritten('all', rewrite(8)));
    assert.deepEqual([early.code, early.seq], ['LEDGER_FORKED', 7]);
  });

  it('refuses heads of other keys, and tells a fork from a shorter ledger', async () => {
    const file = await exported('all');
    const stranger = keyOf('somebody else');
    assert.equal((await verdict(file, { logKey: stranger.publicKey })).code, 'SIGNATURE_INVALID');
    const head = await audit.ledger.head();
    const { logId } = head;
    const signed = (treeSize: number, rootHash: Uint8Array) =>
      signTreeHead(LOG, { logId, treeSize, rootHash, time: '2026-02-02T00:00:00.000Z' });
    const compare = async (seen: ReturnType<typeof signed>): Promise<string> => {
      await writeFile(at('seen'), `${Buffer.from(encodeExportLine(headLine(seen))).toString()}\n`);
      return (await verdict(file, { logKey: LOG.publicKey, seen }, '--head', at('seen'))).code;
    };
    assert.equal(await compare(await audit.ledger.head(5)), 'OK');
    assert.equal(await compare(signed(5, new Uint8Array(32))), 'LEDGER_FORKED');
    assert.equal(await compare(signed(head.treeSize, new Uint8Array(32))), 'LEDGER_FORKED');
    assert.equal(await compare(signed(head.treeSize + 1, new Uint8Array(32))), 'LEDGER_SHORTENED');
    const forged = { ...(await audit.ledger.head(5)), treeSize: 4 };
    assert.equal(await compare(forged), 'SIGNATURE_INVALID');
    assert.equal(logIdOf(LOG.publicKey), logId);
  });

  it('names entries whose signatures do not verify', async () => {
    const forged = decided('north', 'job.approved');
    assert.ok(forged.type === 'job.approved');
    await audit.ledger.add({
      ...forged,
      body: { ...forged.body, approverName: 'x', decidedAt: '2026-01-03T00:00:00.000Z' },
    });
    const size = audit.ledger.bytes.length;
    const store = audit.ledger.answers();
    const session = new CliSession(store);
    await assert.rejects(session.run('audit', 'export', '--file', at('forged')), {
      code: 'SIGNATURE_INVALID',
    });
    await assert.rejects(new CliSession(store).run('audit', 'verify'), (error: TributaryError) => {
      assert.deepEqual([error.code, error.fields['seq']], ['SIGNATURE_INVALID', size - 1]);
      return true;
    });
  });

  it('follows rosters from the root that it was given, and counts only their members as witnesses', async () => {
    const file = await exported('all');
    await writeFile(at('next.json'), JSON.stringify(NEXT_ROOT));
    assert.equal(
      (await verdict(file, { logKey: LOG.publicKey, root: NEXT_ROOT }, '--root', at('next.json'))).code,
      'OK',
    );
    const { unchecked, witnesses } = await auditFile(file, { root: NEXT_ROOT });
    assert.deepEqual([unchecked, witnesses.length], [2, SITES.length]);
    const other = { ...ROOT, name: 'elsewhere' };
    await writeFile(at('other.json'), JSON.stringify(other));
    assert.equal(
      (await verdict(file, { logKey: LOG.publicKey, root: other }, '--root', at('other.json'))).code,
      'ROSTER_INVALID',
    );
  });

  it('demands as many witnesses as it is told, of distinct sites', async () => {
    const file = await exported('all');
    await run('verify', '--file', file, '--log-key', KEY, '--witnesses', '3');
    await assert.rejects(run('verify', '--file', file, '--log-key', KEY, '--witnesses', '4'), {
      code: 'WITNESSES_TOO_FEW',
    });
    if (why === undefined) assert.equal(verifyWithPython(file, '--witnesses', '4').exit, 88);
  });

  it('does not take a witness that the ledger did not enrol', async () => {
    audit.ledger.cosigned.push({ site: 'nowhere', size: 13 });
    await assert.rejects(run('export', '--file', at('all')), (error: TributaryError) => {
      assert.deepEqual([error.code, error.fields['line']], ['SIGNATURE_INVALID', 6]);
      return true;
    });
  });

  it('exports parts with proofs of their own', async () => {
    const part = await exported('part', '--from', '8', '--to', '12');
    const { entries, whole } = await auditFile(part, { logKey: LOG.publicKey, root: ROOT });
    // The federation, three agents and the roster are always there.
    assert.deepEqual([entries, whole], [9, false]);
    assert.equal((await verdict(part)).code, 'OK');
    const job = await exported('job', '--job', 'loans');
    assert.equal((await verdict(job)).code, 'OK');
    const shown = await run('show', '--file', job, '-o', 'json');
    const types = shown.terminal.results.map((line) => (JSON.parse(line) as { type: string }).type);
    assert.ok(!types.includes('alarm.raised') && types.includes('rollout.applied'), types.join());
    const moved = await rewritten('job', (lines) => {
      const line = decodeExportLine(Buffer.from(lines[8] ?? ''));
      assert.ok(line.kind === 'Entry' && line.path !== undefined);
      const path = line.path.toSpliced(0, 1, new Uint8Array(32));
      return lines.toSpliced(8, 1, Buffer.from(encodeExportLine({ ...line, path })).toString());
    });
    assert.equal((await verdict(moved)).code, 'PROOF_INVALID');
  });

  it('is bounded in the cosignatures of an export', async () => {
    const file = await exported('all');
    const many = await rewritten('all', ([header = '', ...rest]) => [
      header.replace('"cosignatures":3', '"cosignatures":10001'),
      ...rest,
    ]);
    assert.deepEqual(await verdict(many), { code: 'EXPORT_CORRUPT', line: 1, seq: null });
    assert.equal((await verdict(file)).code, 'OK');
  });

  it('asks for a key where only a file is there', async () => {
    const file = await exported('all');
    await assert.rejects(run('verify', '--file', file), { code: 'USAGE' });
    await assert.rejects(run('verify', '--file', at('nothing'), '--log-key', KEY), { code: 'NOT_FOUND' });
  });

  it('refuses exports and entries of newer formats by name', async () => {
    await exported('all');
    const newer = await rewritten('all', ([header = '', ...rest]) => [
      header.replace('"formatVersion":1', '"formatVersion":2'),
      ...rest,
    ]);
    assert.equal((await verdict(newer)).code, 'FORMAT_UNSUPPORTED');
    await audit.ledger.addBytes(
      Buffer.from(
        `{"actor":"","body":{},"seq":"${String(audit.ledger.bytes.length)}","subject":"","time":"","type":"","v":2}`,
      ),
    );
    await assert.rejects(run('export', '--file', at('future')), { code: 'FORMAT_UNSUPPORTED' });
  });
});

function rehashed<T extends { readonly leafHash: Uint8Array }>(line: T, entry: string): T {
  return { ...line, entry, leafHash: leafHash(Buffer.from(entry)) };
}
