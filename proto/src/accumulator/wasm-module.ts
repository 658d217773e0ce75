/** What is used of WebAssembly here: the compiler's library for servers does not declare it. */
interface WebAssemblyDoor {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}

/** Makes instances of a module given as base64; undefined where the machine or its Node cannot run it. */
export function loadWasm<Exports>(base64: string): (() => Exports) | undefined {
  const { Module, Instance } = (globalThis as unknown as { readonly WebAssembly: WebAssemblyDoor })
    .WebAssembly;
  try {
    const module = new Module(Buffer.from(base64, 'base64'));
    const instantiate = (): Exports => new Instance(module).exports as Exports;
    instantiate();
    return instantiate;
  } catch {
    return undefined;
  }
}
