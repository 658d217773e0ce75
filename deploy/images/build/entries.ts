import { readFile } from 'node:fs/promises';

/** One member of a layer; `path` without a slash at either end. */
export type Entry =
  | { readonly kind: 'folder'; readonly path: string; readonly mode?: number; readonly owner?: number }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly executable?: boolean;
      /** Bytes, or the file of this machine that holds them. */
      readonly content: Buffer | string;
    };

export const contentOf = (entry: Entry & { readonly kind: 'file' }): Promise<Buffer> =>
  typeof entry.content === 'string' ? readFile(entry.content) : Promise.resolve(entry.content);

const bytewise = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Sorted, each path once, below every folder that it needs. Throws where a path is two things. */
export function arranged(entries: readonly Entry[]): readonly Entry[] {
  const known = new Map<string, Entry>();
  for (const entry of entries) {
    const before = known.get(entry.path);
    if (before !== undefined && (before.kind !== 'folder' || entry.kind !== 'folder'))
      throw new Error(`${entry.path} comes twice`);
    known.set(entry.path, entry);
  }
  for (const { path } of entries) {
    const parts = path.split('/').slice(0, -1);
    for (const [index] of parts.entries()) {
      const folder = parts.slice(0, index + 1).join('/');
      if (!known.has(folder)) known.set(folder, { kind: 'folder', path: folder });
    }
  }
  return [...known.values()].sort((a, b) => bytewise(a.path, b.path));
}
