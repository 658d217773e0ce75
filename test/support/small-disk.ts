import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MIB = 1024 * 1024;
const SIZE = 24 * MIB;

/** A disk of 24 MiB that is really full when it is. */
export class SmallDisk {
  readonly path: string;
  readonly #ballast: string;

  private constructor(path: string) {
    this.path = path;
    this.#ballast = join(path, 'ballast');
  }

  /** Undefined where this user may not mount one. */
  static mount(): SmallDisk | undefined {
    const path = mkdtempSync(join(tmpdir(), 'tributary-disk-'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${String(SIZE)}`, 'tmpfs', path], {
        stdio: 'ignore',
      });
      return new SmallDisk(path);
    } catch {
      rmdirSync(path);
      return undefined;
    }
  }

  /** Takes all space, then gives `left` bytes back. */
  async fill(left = 0): Promise<void> {
    await writeFile(this.#ballast, new Uint8Array(2 * SIZE)).catch(() => undefined);
    if (left > 0) execFileSync('truncate', ['-s', `-${String(left)}`, this.#ballast]);
  }

  clear(): Promise<void> {
    return rm(this.#ballast, { force: true });
  }

  unmount(): void {
    execFileSync('umount', [this.path]);
    rmdirSync(this.path);
  }
}
