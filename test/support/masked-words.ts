import type { Mask } from '@tributary/proto';
import { MaskStream } from '@tributary/proto/internal/secagg/mask-stream.js';
import { PIECE_WORDS, type RingKernel } from '@tributary/proto/internal/secagg/ring-kernel.js';
import { defaultRingKernel } from '@tributary/proto/internal/secagg/ring-kernels.js';

/** Applies masks in place to `words`, which are those from `offset` of a vector on. */
export function addMasks(
  words: Uint32Array,
  offset: number,
  masks: readonly Mask[],
  kernel: RingKernel = defaultRingKernel,
): void {
  const stream = new MaskStream(masks, offset);
  const piece = kernel.piece();
  for (let start = 0; start < words.length; start += PIECE_WORDS) {
    const part = words.subarray(start, start + PIECE_WORDS);
    piece.words.set(part);
    stream.apply(piece, part.length);
    part.set(piece.words.subarray(0, part.length));
  }
}
