import assert from 'node:assert/strict';

import { leafHash, verifyConsistency, verifyInclusion } from '@tributary/proto';
import type { LedgerStore } from '@tributary/coordinator/internal/ports.js';

import { collectAll, patternBytes } from '../support/bytes.js';
import { using, type SuiteOptions } from './harness.js';

/** Leaves and roots of trees of 1 to 8 leaves, from the tests of certificate-transparency (cpp/merkletree/merkle_tree_test.cc). */
const CT_LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const CT_ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

const entries = (from: number, count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, at) => patternBytes(40 + at, from + at + 1));

/** What every LedgerStore does. */
export function ledgerStoreSuite({ name, factory }: SuiteOptions<LedgerStore>): void {
  describe(`LedgerStore: ${name}`, () => {
    it('begins empty, with the root of the empty tree', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        assert.equal(store.size(), 0);
        const sha256OfNothing = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
        assert.equal(Buffer.from(await store.rootHash(0)).toString('hex'), sha256OfNothing);
        assert.equal(await store.latestSnapshot(), undefined);
        assert.deepEqual(await collectAll(store.read(0, 10)), []);
        await store.close();
      }));

    it('has the roots of certificate-transparency for 1 to 8 leaves', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        for (const [seq, leaf] of CT_LEAVES.entries()) await store.append(seq, [Buffer.from(leaf, 'hex')]);
        const roots = await Promise.all(CT_ROOTS.map((_, at) => store.rootHash(at + 1)));
        assert.deepEqual(
          roots.map((root) => Buffer.from(root).toString('hex')),
          CT_ROOTS,
        );
        await store.close();
      }));

    it('gives back what was appended, in order, after reopening too', () =>
      using(factory, async (harness) => {
        const first = await harness.open();
        await first.append(0, entries(0, 3));
        await first.append(3, entries(3, 5));
        const root = await first.rootHash(8);
        await first.close();
        const store = await harness.open();
        assert.equal(store.size(), 8);
        assert.deepEqual(await store.rootHash(8), root);
        const read = await collectAll(store.read(0, 8));
        assert.deepEqual(
          read.map(({ seq, bytes }) => [seq, Buffer.from(bytes).toString('hex')]),
          [...entries(0, 3), ...entries(3, 5)].map((bytes, seq) => [seq, Buffer.from(bytes).toString('hex')]),
        );
        const middle = await collectAll(store.read(2, 5));
        assert.deepEqual(
          middle.map(({ seq }) => seq),
          [2, 3, 4],
        );
        await store.close();
      }));

    it('reads up to its size where more is asked for', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.append(0, entries(0, 4));
        assert.equal((await collectAll(store.read(1, 100))).length, 3);
        assert.equal((await collectAll(store.read(4, 100))).length, 0);
        assert.equal((await collectAll(store.read(3, 2))).length, 0);
        await store.close();
      }));

    it('refuses an append to another size and changes nothing', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.append(0, entries(0, 2));
        const root = await store.rootHash(2);
        await assert.rejects(store.append(1, entries(9, 1)), { code: 'CONFLICT' });
        await assert.rejects(store.append(3, entries(9, 1)), { code: 'CONFLICT' });
        assert.equal(store.size(), 2);
        assert.deepEqual(await store.rootHash(2), root);
        await store.append(2, entries(2, 1));
        assert.equal(store.size(), 3);
        await store.close();
      }));

    it('lets one of two simultaneous appends win', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const results = await Promise.allSettled([
          store.append(0, entries(0, 1)),
          store.append(0, entries(5, 2)),
        ]);
        assert.deepEqual(
          results.map(({ status }) => status),
          ['fulfilled', 'rejected'],
        );
        assert.equal(store.size(), 1);
        await store.close();
      }));

    it('proves inclusion and consistency for every pair of sizes up to 20', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        const leaves = entries(0, 20);
        await store.append(0, leaves);
        const roots = await Promise.all(Array.from({ length: 21 }, (_, size) => store.rootHash(size)));
        for (let size = 1; size <= 20; size += 1) {
          const root = roots[size] ?? new Uint8Array();
          for (let seq = 0; seq < size; seq += 1) {
            const path = await store.inclusionProof(seq, size);
            assert.ok(verifyInclusion(seq, size, leafHash(leaves[seq] ?? new Uint8Array()), path, root));
          }
          for (let older = 0; older <= size; older += 1) {
            const path = await store.consistencyProof(older, size);
            assert.ok(
              verifyConsistency(older, size, roots[older] ?? new Uint8Array(), root, path),
              `${String(older)} in ${String(size)}`,
            );
          }
        }
        await store.close();
      }));

    it('refuses roots and proofs outside the tree', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.append(0, entries(0, 3));
        await assert.rejects(async () => store.rootHash(4), { code: 'INVALID_ARGUMENT' });
        await assert.rejects(async () => store.inclusionProof(3, 3), { code: 'INVALID_ARGUMENT' });
        await assert.rejects(async () => store.inclusionProof(0, 4), { code: 'INVALID_ARGUMENT' });
        await assert.rejects(async () => store.consistencyProof(3, 2), { code: 'INVALID_ARGUMENT' });
        await store.close();
      }));

    it('keeps the latest snapshot', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.append(0, entries(0, 5));
        await store.putSnapshot(2, patternBytes(1_000, 2));
        await store.putSnapshot(5, patternBytes(2_000, 5));
        await store.close();
        const again = await harness.open();
        const latest = await again.latestSnapshot();
        assert.equal(latest?.size, 5);
        assert.deepEqual(new Uint8Array(latest?.snapshot ?? []), patternBytes(2_000, 5));
        await again.close();
      }));

    it('keeps the newest cosignature of each site, beside the entries and through a restart', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.append(0, entries(0, 3));
        const root = await store.rootHash(3);
        await store.putCosignatures(new Map([...'abc'].map((site, at) => [site, patternBytes(20, at + 1)])));
        await store.putCosignatures(new Map([['b', patternBytes(30, 9)]]));
        await store.putCosignatures(new Map());
        await store.append(3, entries(3, 1));
        await store.close();
        const again = await harness.open();
        const kept = await collectAll(again.cosignatures());
        assert.deepEqual(
          kept.map((record) => Buffer.from(record).toString('hex')).sort(),
          [patternBytes(20, 1), patternBytes(30, 9), patternBytes(20, 3)]
            .map((record) => Buffer.from(record).toString('hex'))
            .sort(),
        );
        assert.equal(again.size(), 4);
        assert.deepEqual(await again.rootHash(3), root);
        await again.close();
      }));

    it('lets a reader go on while entries are appended', () =>
      using(factory, async (harness) => {
        const store = await harness.open();
        await store.append(0, entries(0, 50));
        const seen: number[] = [];
        for await (const { seq } of store.read(0, 50)) {
          seen.push(seq);
          if (seq % 10 === 0) await store.append(store.size(), entries(store.size(), 2));
        }
        assert.equal(seen.length, 50);
        assert.equal(store.size(), 60);
        await store.close();
      }));
  });
}
