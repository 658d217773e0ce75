/** What this folder uses of WebAssembly: the compiler's library for servers does not declare it. */
interface WebAssemblyDoor {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
  readonly Memory: new (limits: object) => WasmMemory;
}

/** Memory of a WebAssembly instance; `buffer` is another one after the memory grew. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** A global of an instance, int32. */
export interface WasmGlobal {
  value: number;
}

const { Module, Instance, Memory } = (globalThis as unknown as { readonly WebAssembly: WebAssemblyDoor })
  .WebAssembly;

/** Instantiates a module assembled from edge-agent/wat on `memory`; the caller vouches for the type of its exports. */
export function instantiate(base64: string, memory: WasmMemory): unknown {
  return new Instance(new Module(Buffer.from(base64, 'base64')), { heap: { memory } }).exports;
}

export const isMemory = (value: unknown): value is WasmMemory => value instanceof Memory;
