import assert from 'node:assert/strict';

import { inclusionProof, leafHash, nodeHash, TributaryError, type SignedTreeHead } from '@tributary/proto';
import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import type { RawEntry } from '@tributary/edge-agent/internal/coordinator-messages.js';
import { provenEntry } from '@tributary/edge-agent/internal/domain/proof.js';

import { openWitness } from '../../support/open-witness.js';
import { refusal } from '../../support/refusal.js';
import { ScriptedLog } from '../../support/scripted-log.js';

const SIZE = 13;
/** More than any proof has, as large as a message can carry. */
const HUGE = 100_000;

type Path = readonly Uint8Array[];

/** What a coordinator may answer in the place of a proof: by name, from the one that is right. */
const CHANGES: readonly (readonly [string, (path: Path) => Path])[] = [
  ['nothing', () => []],
  ['its first part', (path) => path.slice(0, -1)],
  ['its last part', (path) => path.slice(1)],
  ['one step more', (path) => [...path, new Uint8Array(32)]],
  ['one step twice', (path) => [...path.slice(0, 1), ...path]],
  ['another order', (path) => path.toReversed()],
  ['another hash', (path) => path.map((step, at) => (at === 0 ? step.map((byte) => byte ^ 1) : step))],
  ['short hashes', (path) => path.map((step) => step.subarray(0, 31))],
  ['long hashes', (path) => path.map((step) => new Uint8Array([...step, 0]))],
  ['empty hashes', (path) => path.map(() => new Uint8Array())],
  ['a huge array', () => Array.from({ length: HUGE }, () => new Uint8Array(32))],
  ['itself, a thousand times', (path) => Array.from({ length: 1_000 }, () => path).flat()],
];

describe('an agent that is given wrong proofs', () => {
  let log: ScriptedLog;
  let heads: readonly SignedTreeHead[];

  beforeEach(async () => {
    log = new ScriptedLog();
    const grown: SignedTreeHead[] = [];
    for (let index = 0; index < SIZE; index += 1) {
      log.append({
        ...{ type: 'context.revoked', actor: 'context/root', subject: 'context/x' },
        body: { context: `c${String(index)}` },
      });
      grown.push(await log.head());
    }
    heads = grown;
  });

  const head = (size: number): SignedTreeHead => heads[size - 1] ?? assert.fail(String(size));
  const right = (first: number, second: number): Promise<Path> =>
    Promise.resolve(log.consistency(first, second));

  for (const [name, change] of [
    ...CHANGES,
    ['the proof of an older head', async () => right(3, SIZE - 1)],
    ['the proof from another size', async () => right(4, SIZE)],
    ['the proof of no growth', async () => right(SIZE, SIZE)],
  ] as readonly (readonly [string, (path: Path) => Path | Promise<Path>])[])
    it(`takes no head with ${name}, halts, and keeps the head that it has`, async () => {
      const store = new MemoryStateStore();
      const pinned = { logId: log.logId, logKey: log.key.publicKey };
      const witness = await openWitness(store, pinned);
      await witness.observe(head(3), right);
      const wrong = async (first: number, second: number): Promise<Path> =>
        change(await right(first, second));
      await assert.rejects(witness.observe(head(SIZE), wrong), refusal('LEDGER_FORKED'));
      assert.equal(witness.head?.treeSize, 3);
      assert.equal(witness.cosign(log.key, 'agt-1', 0), undefined);
      const again = await openWitness(store, pinned);
      assert.deepEqual([again.head?.treeSize, again.alarm?.shown.treeSize], [3, SIZE]);
      await assert.rejects(again.observe(head(SIZE), right), refusal('LEDGER_FORKED'));
    });

  it('asks again where a proof could not be had: that is no contradiction', async () => {
    const witness = await openWitness(new MemoryStateStore(), {
      logId: log.logId,
      logKey: log.key.publicKey,
    });
    await witness.observe(head(3), right);
    for (const code of ['UNAVAILABLE', 'LIMIT_EXCEEDED', 'INVALID_ARGUMENT'] as const)
      await assert.rejects(
        witness.observe(head(SIZE), () => Promise.reject(new TributaryError(code, 'not now'))),
        refusal(code),
      );
    assert.equal(witness.alarm, undefined);
    await witness.observe(head(SIZE), right);
    assert.equal(witness.head?.treeSize, SIZE);
  });

  /** Entry `seq` of the tree of `size` entries, and its proof. */
  async function proven(seq: number, size: number): Promise<RawEntry> {
    const hashes = log.entries.map(leafHash);
    const node = (level: number, index: number): Uint8Array =>
      level === 0
        ? (hashes[index] ?? assert.fail())
        : nodeHash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1));
    return {
      seq,
      entry: log.entries[seq] ?? assert.fail(),
      path: [...(await inclusionProof(seq, size, node))],
    };
  }

  it('takes an entry with its own proof alone', async () => {
    for (const [seq, size] of [
      [0, SIZE],
      [5, SIZE],
      [SIZE - 1, SIZE],
      [3, 4],
    ] as const) {
      const raw = await proven(seq, size);
      assert.equal(provenEntry(head(size), raw).seq, seq);
      const other = await proven(seq === 0 ? 1 : seq - 1, size);
      const changes: [string, RawEntry, SignedTreeHead][] = [
        ...CHANGES.map(([name, change]): [string, RawEntry, SignedTreeHead] => [
          name,
          { ...raw, path: [...change(raw.path)] },
          head(size),
        ]),
        ['another number', { ...raw, seq: other.seq }, head(size)],
        ['the proof of another entry', { ...raw, path: other.path }, head(size)],
        ['the bytes of another entry', { ...raw, entry: other.entry }, head(size)],
        ['a number beyond the head', { ...raw, seq: size }, head(size)],
        ['no entry', { ...raw, entry: new Uint8Array() }, head(size)],
        ['a node for an entry', { ...raw, entry: raw.path[0] ?? new Uint8Array() }, head(size)],
      ];
      for (const [name, changed, by] of changes) {
        // The last entry of some trees has a path of one step: another order of it is the same one.
        if (changed.path.length === raw.path.length && samePath(changed, raw)) continue;
        assert.throws(
          () => provenEntry(by, changed),
          refusal('PROOF_INVALID'),
          `${name}: ${String(seq)} of ${String(size)}`,
        );
      }
    }
  });

  it('takes no proof of a tree of another size', async () => {
    for (let size = 6; size <= SIZE; size += 1) {
      const raw = await proven(5, size);
      for (let other = 6; other <= SIZE; other += 1) {
        if (other === size) assert.equal(provenEntry(head(other), raw).seq, 5);
        else assert.throws(() => provenEntry(head(other), raw), refusal('PROOF_INVALID'), `${String(size)}`);
      }
    }
  });
});

const samePath = (one: RawEntry, other: RawEntry): boolean =>
  one.seq === other.seq &&
  one.entry === other.entry &&
  one.path.every((step, at) => Buffer.compare(step, other.path[at] ?? new Uint8Array()) === 0);
