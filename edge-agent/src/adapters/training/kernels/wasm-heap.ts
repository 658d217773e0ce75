import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { getKernel, util, type KernelBackend, type TensorInfo } from '@tensorflow/tfjs-core';

import { convolutionWasm } from '../../../gen/convolution-wasm.js';
import { matmulWasm } from '../../../gen/matmul-wasm.js';
import { windowsWasm } from '../../../gen/windows-wasm.js';
import { instantiate, isMemory, type WasmGlobal, type WasmMemory } from './wasm-module.js';

/** A matrix on the heap: address of its first element, and the bytes from one row or column to the next. */
export interface Matrix {
  readonly at: number;
  readonly rowBytes: number;
  readonly columnBytes: number;
}

/** Sizes of a product: C (rows x columns) = A (rows x depth) * B (depth x columns). */
export interface ProductSize {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

/** The exports of wat/matmul.wat. */
interface ProductExports {
  readonly scratchBytes: WasmGlobal;
  multiply(
    ...[a, aRow, aColumn, b, bRow, bColumn, c, cRow, rows, columns, depth, add, scratch]: readonly number[]
  ): void;
  multiplySparse(...[a, aRow, b, bRow, c, cRow, rows, columns, depth, add, sums]: readonly number[]): void;
  countNonZero(at: number, count: number): number;
}

/** The functions of wat/convolution.wat; its globals are set by `setGeometry`. Pointers are bytes. */
export interface PatchExports {
  gatherPatches(images: number, patches: number, first: number, count: number): void;
  scatterPatches(images: number, patches: number, first: number, count: number): void;
}

/** The functions of wat/windows.wat; its globals are set by `setGeometry`. Pointers are bytes. */
export interface WindowExports {
  maxPoolGradient(batch: number, x: number, dx: number, y: number, dy: number): void;
  averagePoolGradient(batch: number, dx: number, dy: number): void;
  depthwise(batch: number, x: number, y: number, filter: number, multiplier: number): void;
  depthwiseInputGradient(batch: number, dx: number, dy: number, filter: number, multiplier: number): void;
  depthwiseFilterGradient(batch: number, x: number, dy: number, dFilter: number, multiplier: number): void;
}

/** Allocation of the Emscripten module, and its exports; no part of the type that the backend declares for it. */
interface EmscriptenModule {
  _malloc(bytes: number): number;
  _free(address: number): void;
  readonly asm?: { readonly memory?: unknown };
  readonly tfjs: {
    registerTensor(id: number, size: number, address: number): void;
    disposeData(id: number): void;
  };
}

/** An A of which less than one in so many elements is filled is multiplied without what is zero. */
const MOST_FILLED = 8;
/** Columns from which on that pays for looking. */
const LEAST_COLUMNS = 8;

const heaps = new WeakMap<object, WasmHeap>();

/**
 * The heap of a wasm backend of TensorFlow.js with our own WebAssembly instances on it: they import the memory of the
 * backend, so that tensors are used where they lie.
 */
export class WasmHeap {
  readonly patches: PatchExports;
  readonly windows: WindowExports;
  readonly #backend: BackendWasm;
  readonly #module: EmscriptenModule;
  readonly #memory: WasmMemory;
  readonly #product: ProductExports;
  /** Packed blocks of the matrix product; kept, as every step needs them. */
  readonly #scratch: number;
  readonly #one: number;

  private constructor(backend: BackendWasm) {
    this.#backend = backend;
    this.#module = backend.wasm as unknown as EmscriptenModule;
    this.#memory = memoryOf(this.#module);
    this.#product = instantiate(matmulWasm, this.#memory) as ProductExports;
    this.patches = instantiate(convolutionWasm, this.#memory) as PatchExports;
    this.windows = instantiate(windowsWasm, this.#memory) as WindowExports;
    this.#scratch = this.#allocate(this.#product.scratchBytes.value);
    this.#one = this.#allocate(Float32Array.BYTES_PER_ELEMENT);
    new Float32Array(this.#memory.buffer, this.#one, 1).fill(1);
  }

  /** The heap of `backend`; throws where that is no wasm backend of the version that the kernels are made for. */
  static of(backend: KernelBackend): WasmHeap {
    let heap = heaps.get(backend);
    if (heap === undefined) {
      heap = new WasmHeap(backend as BackendWasm);
      heaps.set(backend, heap);
    }
    return heap;
  }

  /** Address of the first element of a tensor, in bytes from 0 to 2^32. */
  address(tensor: TensorInfo): number {
    return this.#backend.dataIdMap.get(tensor.dataId).memoryOffset;
  }

  /** A new float32 tensor whose values are whatever the memory held. */
  output(shape: readonly number[]): TensorInfo {
    return this.#backend.makeOutput([...shape], 'float32');
  }

  /** A new float32 tensor of zeros. */
  zeros(shape: readonly number[]): TensorInfo {
    const tensor = this.output(shape);
    this.floats(tensor).fill(0);
    return tensor;
  }

  /** Another tensor with the same values in the same place, which is freed with the last of them. */
  share({ dataId, shape, dtype }: TensorInfo): TensorInfo {
    this.#backend.incRef(dataId);
    return { dataId, shape, dtype };
  }

  /**
   * Writes `values` over those of a tensor and returns true, or false where another tensor shares them. The published
   * kernels keep filters in a form of their own by the number of the tensor: it is announced anew, so that they forget.
   */
  overwrite(tensor: TensorInfo, values: Float32Array): boolean {
    if (this.#backend.refCount(tensor.dataId) > 1) return false;
    this.floats(tensor).set(values);
    const { id, memoryOffset } = this.#backend.dataIdMap.get(tensor.dataId);
    this.#module.tfjs.disposeData(id);
    this.#module.tfjs.registerTensor(id, values.length, memoryOffset);
    return true;
  }

  /** The result of another kernel of the backend on the heap's tensors; `x`, an intermediate result, is freed. */
  activate(kernelName: string, x: TensorInfo): TensorInfo {
    const kernel = getKernel(kernelName, 'wasm');
    const output = kernel.kernelFunc({ inputs: { x }, backend: this.#backend }) as TensorInfo;
    this.#backend.disposeData(x.dataId);
    return output;
  }

  /** A view of a float32 tensor, row-major. It dies when the heap grows: use it before anything else is allocated. */
  floats(tensor: TensorInfo): Float32Array {
    return new Float32Array(this.#memory.buffer, this.address(tensor), util.sizeFromShape(tensor.shape));
  }

  /** A view of an int32 tensor, as {@link floats}. */
  integers(tensor: TensorInfo): Int32Array {
    return new Int32Array(this.#memory.buffer, this.address(tensor), util.sizeFromShape(tensor.shape));
  }

  /** Address of the float32 value 1. */
  get one(): number {
    return this.#one;
  }

  /** Calls `use` with the address of `bytes` bytes, which are free again afterwards. */
  withMemory(bytes: number, use: (address: number) => void): void {
    const address = this.#allocate(bytes);
    try {
      use(address);
    } finally {
      this.#module._free(address);
    }
  }

  /** C = A * B, or C += A * B with `add`; rows of C are contiguous. */
  multiply(a: Matrix, b: Matrix, c: Matrix, { rows, columns, depth }: ProductSize, add = false): void {
    if (rows === 0 || columns === 0) return;
    if (depth === 0) {
      if (!add) new Uint8Array(this.#memory.buffer, c.at, rows * c.rowBytes).fill(0);
      return;
    }
    const adds = add ? 1 : 0;
    if (this.#isSparse(a, b, { rows, columns, depth })) {
      const strides = [a.at, a.rowBytes, b.at, b.rowBytes, c.at, c.rowBytes];
      this.#product.multiplySparse(...strides, rows, columns, depth, adds, this.#scratch);
      return;
    }
    this.#product.multiply(
      a.at,
      a.rowBytes,
      a.columnBytes,
      b.at,
      b.rowBytes,
      b.columnBytes,
      c.at,
      c.rowBytes,
      rows,
      columns,
      depth,
      adds,
      this.#scratch,
    );
  }

  /** Whether most of A is zero, as of rows of categories: looking costs far less than multiplying. */
  #isSparse(a: Matrix, b: Matrix, { rows, columns, depth }: ProductSize): boolean {
    const size = Float32Array.BYTES_PER_ELEMENT;
    const fits = a.columnBytes === size && a.rowBytes === depth * size && b.columnBytes === size;
    if (!fits || columns < LEAST_COLUMNS || columns * size > this.#product.scratchBytes.value) return false;
    return this.#product.countNonZero(a.at, rows * depth) * MOST_FILLED < rows * depth;
  }

  #allocate(bytes: number): number {
    const address = this.#module._malloc(bytes) >>> 0;
    if (address === 0) throw new RangeError('the heap of the wasm backend is full');
    return address;
  }
}

/** Row-major rows x columns at an address; `transposed`: the same memory read as columns x rows. */
export function contiguous(at: number, columns: number, transposed = false): Matrix {
  const long = columns * Float32Array.BYTES_PER_ELEMENT;
  const short = Float32Array.BYTES_PER_ELEMENT;
  return transposed ? { at, rowBytes: short, columnBytes: long } : { at, rowBytes: long, columnBytes: short };
}

/** Fills `to` with copies of `from`. */
export function repeat(from: Float32Array, to: Float32Array): void {
  if (to.length === 0) return;
  to.set(from);
  for (let done = from.length; done < to.length; done *= 2) to.copyWithin(done, 0, done);
}

function memoryOf({ asm }: EmscriptenModule): WasmMemory {
  if (isMemory(asm?.memory)) return asm.memory;
  throw new TypeError('the wasm backend does not give access to its memory');
}
