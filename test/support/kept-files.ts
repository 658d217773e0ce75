import { link, mkdir, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

const LOOK_MS = 5;

/** A file that was there once. */
export interface KeptFile {
  /** Folder that holds it under its own name and nothing else: what is sealed is sealed under its name. */
  readonly folder: string;
  readonly name: string;
}

/**
 * Keeps every file that appears in some folders, or in folders within them, by another link to it: what a process deletes, or replaces by a rename,
 * stays. It costs the process nothing.
 */
export class KeptFiles {
  readonly #folders: readonly string[];
  readonly #into: string;
  readonly #known = new Map<string, KeptFile>();
  readonly #timer: NodeJS.Timeout;
  #look: Promise<void> | undefined;

  private constructor(folders: readonly string[], into: string) {
    this.#folders = folders;
    this.#into = into;
    this.#timer = setInterval(() => {
      this.now().catch(() => undefined);
    }, LOOK_MS);
  }

  static async start(folders: readonly string[], into: string): Promise<KeptFiles> {
    await mkdir(into, { recursive: true });
    return new KeptFiles(folders, into);
  }

  get files(): readonly KeptFile[] {
    return [...this.#known.values()];
  }

  /** Looks once; resolves when everything that is there is kept. */
  now(): Promise<void> {
    this.#look ??= this.#keep().finally(() => {
      this.#look = undefined;
    });
    return this.#look;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#look;
  }

  async #keep(): Promise<void> {
    for (const folder of this.#folders) {
      const paths = await readdir(folder, { recursive: true }).catch(() => []);
      await Promise.all(paths.map((path) => this.#keepFile(join(folder, path))));
    }
  }

  /** Known by the number of its inode, which is not given away again while the link is there. */
  async #keepFile(path: string): Promise<void> {
    const name = basename(path);
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile() !== true) return;
    const id = `${String(found.ino)}-${name}`;
    if (this.#known.has(id)) return;
    const own = join(this.#into, id);
    await mkdir(own, { recursive: true });
    const kept = await link(path, join(own, name)).then(
      () => true,
      () => false,
    );
    if (kept) this.#known.set(id, { folder: own, name });
  }
}
