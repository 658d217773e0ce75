/** Work that nobody waits for: its failure ends the process, as one that nobody caught. */
export function inBackground(work: Promise<unknown>): void {
  work.catch((error: unknown) =>
    setImmediate(() => {
      throw error;
    }),
  );
}
