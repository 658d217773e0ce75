import { requireReference } from '../reference.js';
import type { Session } from '../session.js';

/** Deletes an object. A running job is cancelled first; what the ledger says of it stays. */
export async function deleteObject(
  session: Session,
  first: string,
  second: string | undefined,
): Promise<void> {
  const reference = requireReference(first, second);
  await (await session.admin()).unary('DeleteObject', reference);
  session.terminal.out(`${reference.kind.toLowerCase()}/${reference.name} deleted`);
}
