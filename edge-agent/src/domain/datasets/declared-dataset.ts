import { canonicalize, digestOf } from '@tributary/proto';

import type { DeclaredDataset } from '../../ports.js';
import type { DatasetDeclaration } from './declaration.js';

/** A declared dataset with what the agent adds to it: where rows may be put, and its secret. */
export function declaredDataset(
  declaration: DatasetDeclaration,
  site: Pick<DeclaredDataset, 'scratchDir' | 'versionKey'>,
): DeclaredDataset {
  const plain = JSON.parse(JSON.stringify(declaration)) as Parameters<typeof canonicalize>[0];
  return { name: declaration.name, declaration, declarationDigest: digestOf(canonicalize(plain)), ...site };
}
