/** One store under test. `open` gives it as a process finds it after the last one closed or died. */
export interface Harness<T> {
  open(): Promise<T>;
  dispose(): Promise<void>;
}

/** What a contract suite is run with: the name of an implementation, and a fresh, empty store of it for every test. */
export interface SuiteOptions<T> {
  readonly name: string;
  readonly factory: () => Promise<Harness<T>>;
}

/** A harness for a store that lives in memory: what a process leaves behind stays in the object. */
export function inMemory<T>(make: () => T): () => Promise<Harness<T>> {
  return () => {
    const store = make();
    return Promise.resolve({ open: () => Promise.resolve(store), dispose: () => Promise.resolve() });
  };
}

/** Runs `test` with an empty store. */
export async function using<T>(
  factory: () => Promise<Harness<T>>,
  test: (harness: Harness<T>) => Promise<void>,
): Promise<void> {
  const harness = await factory();
  try {
    await test(harness);
  } finally {
    await harness.dispose();
  }
}
