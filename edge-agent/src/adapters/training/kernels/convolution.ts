import type { TensorInfo } from '@tensorflow/tfjs-core';

import { setGeometry, type Geometry } from './geometry.js';
import { contiguous, repeat, type WasmHeap } from './wasm-heap.js';

const FLOAT = Float32Array.BYTES_PER_ELEMENT;

/** Bytes of patches at a time: small enough for the second-level cache, which the product reads them from again. */
const CHUNK_BYTES = 1024 * 1024;

/**
 * Results [batch, ...out, outChannels] of the images [batch, ...in, channels] convolved with the filter
 * [...kernel, channels, outChannels], plus the bias [outChannels]: patches as rows times the filter as a matrix.
 */
export function convolve(
  heap: WasmHeap,
  images: TensorInfo,
  filter: TensorInfo,
  geometry: Geometry,
  bias?: TensorInfo,
): TensorInfo {
  const { outChannels } = geometry;
  const out = heap.output(geometry.outShape);
  const patch = patchSize(geometry);
  if (bias !== undefined) repeat(heap.floats(bias), heap.floats(out));
  eachChunk(heap, geometry, (patches, first, rows) => {
    gather(heap, geometry, heap.address(images), patches, first, rows);
    heap.multiply(
      contiguous(patches, patch),
      contiguous(heap.address(filter), outChannels),
      contiguous(heap.address(out) + first * outChannels * FLOAT, outChannels),
      { rows, columns: outChannels, depth: patch },
      bias !== undefined,
    );
  });
  return out;
}

/** Gradient [...kernel, channels, outChannels] of the filter: patches transposed, times the gradient of the results. */
export function filterGradient(
  heap: WasmHeap,
  images: TensorInfo,
  dy: TensorInfo,
  filterShape: readonly number[],
  geometry: Geometry,
): TensorInfo {
  const { outChannels } = geometry;
  const out = heap.zeros(filterShape);
  const patch = patchSize(geometry);
  eachChunk(heap, geometry, (patches, first, rows) => {
    gather(heap, geometry, heap.address(images), patches, first, rows);
    heap.multiply(
      contiguous(patches, patch, true),
      contiguous(heap.address(dy) + first * outChannels * FLOAT, outChannels),
      contiguous(heap.address(out), outChannels),
      { rows: patch, columns: outChannels, depth: rows },
      true,
    );
  });
  return out;
}

/**
 * Gradient [batch, ...in, channels] of the images: the gradient of the results times the transposed filter gives that
 * of the patches, which is added up where patches overlap.
 */
export function inputGradient(
  heap: WasmHeap,
  dy: TensorInfo,
  filter: TensorInfo,
  geometry: Geometry,
): TensorInfo {
  const { outChannels } = geometry;
  const out = heap.zeros(geometry.inShape);
  const patch = patchSize(geometry);
  eachChunk(heap, geometry, (patches, first, rows) => {
    heap.multiply(
      contiguous(heap.address(dy) + first * outChannels * FLOAT, outChannels),
      contiguous(heap.address(filter), outChannels, true),
      contiguous(patches, patch),
      { rows, columns: patch, depth: outChannels },
    );
    setGeometry(heap.patches, geometry.fields);
    heap.patches.scatterPatches(heap.address(out), patches, first, rows);
  });
  return out;
}

/** Calls `use` for one range of output positions after another, with memory for their patches. */
function eachChunk(
  heap: WasmHeap,
  geometry: Geometry,
  use: (patches: number, first: number, rows: number) => void,
): void {
  const { batch, fields } = geometry;
  const positions = batch * fields.outDepth * fields.outHeight * fields.outWidth;
  const patchBytes = patchSize(geometry) * FLOAT;
  if (positions === 0 || patchBytes === 0) return;
  const rows = Math.min(positions, Math.max(64, Math.min(2048, Math.floor(CHUNK_BYTES / patchBytes))));
  heap.withMemory(rows * patchBytes, (patches) => {
    for (let first = 0; first < positions; first += rows)
      use(patches, first, Math.min(rows, positions - first));
  });
}

function gather(
  heap: WasmHeap,
  geometry: Geometry,
  images: number,
  patches: number,
  first: number,
  rows: number,
): void {
  setGeometry(heap.patches, geometry.fields);
  heap.patches.gatherPatches(images, patches, first, rows);
}

/** Values of one patch: kernel depth x height x width x channels. */
function patchSize({ fields }: Geometry): number {
  return fields.kernelDepth * fields.kernelHeight * fields.kernelWidth * fields.channels;
}
