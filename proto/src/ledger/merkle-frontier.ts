import { emptyRoot, nodeHash, type MerkleNode, type NodeReader } from './merkle.js';

/**
 * The right edge of a growing Merkle tree (a compact range): the complete subtrees whose sizes are the binary digits
 * of the size, largest first. It holds at most 53 hashes, appends in amortised constant time and knows the root.
 */
export class MerkleFrontier {
  #size: number;
  readonly #nodes: MerkleNode[];

  private constructor(size: number, nodes: MerkleNode[]) {
    this.#size = size;
    this.#nodes = nodes;
  }

  /** The frontier of no leaves. */
  static empty(): MerkleFrontier {
    return new MerkleFrontier(0, []);
  }

  /** The frontier of `size` leaves, its nodes read from where they were stored. */
  static async load(size: number, read: NodeReader): Promise<MerkleFrontier> {
    const nodes: MerkleNode[] = [];
    for (let level = 52; level >= 0; level -= 1) {
      const index = Math.floor(size / 2 ** level);
      if (index % 2 === 1) nodes.push({ level, index: index - 1, hash: await read(level, index - 1) });
    }
    return new MerkleFrontier(size, nodes);
  }

  /** Leaves so far. */
  get size(): number {
    return this.#size;
  }

  /** Adds a leaf by its hash; returns the nodes that it completes, the leaf first: what a store has to keep. */
  append(leaf: Uint8Array): readonly MerkleNode[] {
    let node: MerkleNode = { level: 0, index: this.#size, hash: leaf };
    const completed = [node];
    for (let left = this.#nodes.at(-1); left?.level === node.level; left = this.#nodes.at(-1)) {
      this.#nodes.pop();
      node = { level: node.level + 1, index: left.index / 2, hash: nodeHash(left.hash, node.hash) };
      completed.push(node);
    }
    this.#nodes.push(node);
    this.#size += 1;
    return completed;
  }

  /** RFC 6962 root of all leaves so far. */
  root(): Uint8Array {
    if (this.#nodes.length === 0) return emptyRoot();
    return this.#nodes.map((node) => node.hash).reduceRight((right, left) => nodeHash(left, right));
  }

  /** An independent copy: an append that fails to become durable is undone by dropping it. */
  clone(): MerkleFrontier {
    return new MerkleFrontier(this.#size, [...this.#nodes]);
  }
}
