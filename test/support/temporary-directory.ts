import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemporaryDirectory {
  readonly path: string;
  readonly remove: () => Promise<void>;
}

/** A fresh directory of the test's own. */
export async function temporaryDirectory(): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(tmpdir(), 'tributary-test-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
