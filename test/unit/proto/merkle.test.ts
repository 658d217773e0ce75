import assert from 'node:assert/strict';

import {
  consistencyProof,
  emptyRoot,
  encodeHex,
  inclusionProof,
  leafHash,
  MerkleFrontier,
  merkleRoot,
  nodeHash,
  sha256,
  verifyConsistency,
  verifyInclusion,
} from '@tributary/proto';
import fc from 'fast-check';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

/** Leaves and roots of the test of the reference log (google/certificate-transparency, merkle_tree_test.cc). */
const LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

/** The definitions of RFC 6962, 2.1, 2.1.1 and 2.1.2, word for word: slow, and the oracle of the rest. */
function split(count: number): number {
  let k = 1;
  while (k * 2 < count) k *= 2;
  return k;
}

function mth(d: readonly Uint8Array[]): Uint8Array {
  if (d.length === 0) return sha256();
  const [only] = d;
  if (d.length === 1 && only) return leafHash(only);
  const k = split(d.length);
  return nodeHash(mth(d.slice(0, k)), mth(d.slice(k)));
}

function path(m: number, d: readonly Uint8Array[]): Uint8Array[] {
  if (d.length === 1) return [];
  const k = split(d.length);
  return m < k
    ? [...path(m, d.slice(0, k)), mth(d.slice(k))]
    : [...path(m - k, d.slice(k)), mth(d.slice(0, k))];
}

function subproof(m: number, d: readonly Uint8Array[], whole: boolean): Uint8Array[] {
  if (m === d.length) return whole ? [] : [mth(d)];
  const k = split(d.length);
  if (m <= k) return [...subproof(m, d.slice(0, k), whole), mth(d.slice(k))];
  return [...subproof(m - k, d.slice(k), false), mth(d.slice(0, k))];
}

interface Log {
  readonly leaves: readonly Uint8Array[];
  readonly roots: readonly Uint8Array[];
  readonly read: (level: number, index: number) => Uint8Array;
}

function grow(leaves: readonly Uint8Array[]): Log {
  const nodes = new Map<string, Uint8Array>();
  const frontier = MerkleFrontier.empty();
  const roots = [frontier.root()];
  for (const leaf of leaves) {
    for (const { level, index, hash } of frontier.append(leafHash(leaf)))
      nodes.set(`${String(level)}/${String(index)}`, hash);
    roots.push(frontier.root());
  }
  const read = (level: number, index: number): Uint8Array => {
    const hash = nodes.get(`${String(level)}/${String(index)}`);
    assert.ok(hash, `node ${String(level)}/${String(index)} was never completed`);
    return hash;
  };
  return { leaves, roots, read };
}

const log = grow(Array.from({ length: 40 }, (_, index) => Uint8Array.of(index, 255)));
const root = (size: number): Uint8Array => log.roots[size] ?? assert.fail('no such root');
const leafAt = (index: number): Uint8Array => leafHash(log.leaves[index] ?? assert.fail('no such leaf'));

describe('Merkle tree (RFC 6962)', () => {
  it('has the roots of the reference log', async () => {
    const reference = grow(LEAVES.map(hex));
    assert.deepEqual(reference.roots.map(encodeHex), ROOTS);
    assert.equal(encodeHex(emptyRoot()), ROOTS[0]);
    for (const [size, expected] of ROOTS.entries())
      assert.equal(encodeHex(await merkleRoot(size, reference.read)), expected);
  });

  it('gives the roots, paths and proofs of the definition for every size up to 40', async () => {
    for (let size = 1; size <= 40; size += 1) {
      const d = log.leaves.slice(0, size);
      assert.deepEqual(root(size), mth(d));
      assert.deepEqual((await MerkleFrontier.load(size, log.read)).root(), root(size));
      for (let index = 0; index < size; index += 1) {
        const proof = await inclusionProof(index, size, log.read);
        assert.deepEqual(proof, path(index, d));
        assert.ok(verifyInclusion(index, size, leafAt(index), proof, root(size)));
      }
      for (let first = 0; first <= size; first += 1) {
        const proof = await consistencyProof(first, size, log.read);
        assert.deepEqual(proof, first === 0 ? [] : subproof(first, d, true));
        assert.ok(verifyConsistency(first, size, root(first), root(size), proof));
      }
    }
  });

  it('grows from a loaded frontier as from the first leaf, and copies are independent', async () => {
    const loaded = await MerkleFrontier.load(21, log.read);
    const copy = loaded.clone();
    for (let index = 21; index < 40; index += 1) loaded.append(leafAt(index));
    assert.deepEqual(loaded.root(), root(40));
    assert.equal(loaded.size, 40);
    assert.deepEqual(copy.root(), root(21));
  });

  it('verifies trees larger than 32 bits', async () => {
    // All leaves alike: a node depends on its level alone.
    const levels = [leafHash(Uint8Array.of(1))];
    for (let level = 1; level < 53; level += 1) {
      const below = levels[level - 1] ?? assert.fail();
      levels.push(nodeHash(below, below));
    }
    const read = (level: number): Uint8Array => levels[level] ?? assert.fail();
    const [first, second, index] = [2 ** 40 + 12_345, 2 ** 52 + 2 ** 33 + 7, 2 ** 52 + 2 ** 33 + 5];
    const roots = [await merkleRoot(first, read), await merkleRoot(second, read)] as const;
    assert.ok(verifyInclusion(index, second, read(0), await inclusionProof(index, second, read), roots[1]));
    const proof = await consistencyProof(first, second, read);
    assert.ok(verifyConsistency(first, second, ...roots, proof));
    assert.equal(verifyConsistency(first + 1, second, ...roots, proof), false);
  });

  it('refuses to prove what is outside the tree', async () => {
    for (const [index, size] of [
      [0, 0],
      [5, 5],
      [-1, 5],
      [0.5, 5],
    ] as const) {
      await assert.rejects(inclusionProof(index, size, log.read), RangeError);
    }
    await assert.rejects(consistencyProof(6, 5, log.read), RangeError);
    await assert.rejects(merkleRoot(-1, log.read), RangeError);
  });
});

describe('Merkle proofs that were tampered with', () => {
  const indexAndSize = fc
    .integer({ min: 1, max: 40 })
    .chain((size) => fc.tuple(fc.nat({ max: size - 1 }), fc.constant(size)));

  it('prove no other leaf, index, size or root', async () => {
    await fc.assert(
      fc.asyncProperty(
        indexAndSize,
        indexAndSize,
        fc.nat(),
        async ([index, size], [other, otherSize], at) => {
          const proof = await inclusionProof(index, size, log.read);
          const check = (i: number, n: number, r: Uint8Array, p: readonly Uint8Array[]): boolean =>
            verifyInclusion(i, n, leafAt(index), p, r);
          if (other !== index) assert.equal(check(other, size, root(size), proof), false);
          if (otherSize !== size) assert.equal(check(index, size, root(otherSize), proof), false);
          if (other !== index)
            assert.equal(verifyInclusion(index, size, leafAt(other), proof, root(size)), false);
          assert.equal(check(index, size, root(size), [...proof, leafAt(0)]), false);
          if (proof.length === 0) return;
          assert.equal(check(index, size, root(size), proof.slice(1)), false);
          const bent = proof.map((hash, step) => (step === at % proof.length ? sha256(hash) : hash));
          assert.equal(check(index, size, root(size), bent), false);
        },
      ),
    );
  });

  it('show no split view', async () => {
    await fc.assert(
      fc.asyncProperty(indexAndSize, fc.nat(), async ([below, second], at) => {
        const first = below + 1;
        const proof = await consistencyProof(first, second, log.read);
        const forked = sha256(root(first));
        assert.equal(verifyConsistency(first, second, forked, root(second), proof), false);
        assert.equal(verifyConsistency(first, second, root(first), forked, proof), false);
        assert.equal(verifyConsistency(first, second, root(first), root(second), [...proof, forked]), false);
        if (proof.length === 0) return;
        const bent = proof.map((hash, step) => (step === at % proof.length ? sha256(hash) : hash));
        assert.equal(verifyConsistency(first, second, root(first), root(second), bent), false);
        assert.equal(verifyConsistency(first, second, root(first), root(second), []), false);
      }),
    );
  });

  it('are false, never an error, whatever they are', () => {
    const anything = fc.oneof(fc.integer(), fc.double(), fc.constant(2 ** 53));
    const hashes = fc.array(fc.uint8Array({ minLength: 31, maxLength: 33 }), { maxLength: 120 });
    fc.assert(
      fc.property(anything, anything, hashes, (a, b, proof) => {
        assert.equal(
          verifyInclusion(a, b, leafAt(0), proof, root(1)),
          a === 0 && b === 1 && proof.length === 0,
        );
        assert.equal(verifyConsistency(a, b, root(3), root(5), proof), false);
      }),
    );
  });
});
