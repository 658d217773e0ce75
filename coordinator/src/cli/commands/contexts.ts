import { X509Certificate } from 'node:crypto';

import { createRequest } from '../../adapters/pki/certificate-request.js';
import type { Role } from '../../domain/federation-state.js';
import { findContext, requireNewName, withContext } from '../context-file.js';
import { tableLines } from '../output/table.js';
import type { Session } from '../session.js';

export async function listContexts(session: Session): Promise<void> {
  const file = await session.contextFile();
  const columns = [
    {
      title: 'CURRENT',
      cell: (context: { name: string }) => (context.name === file.currentContext ? '*' : ''),
    },
    { title: 'NAME', cell: (context: { name: string }) => context.name },
    { title: 'SERVER', cell: (context: { server: string }) => context.server },
  ];
  for (const line of tableLines(columns, file.contexts)) session.terminal.out(line);
}

export async function useContext(session: Session, name: string): Promise<void> {
  const file = await session.contextFile();
  await session.saveContextFile({ ...file, currentContext: findContext(file, name).name });
  session.terminal.out(`context ${name} is current`);
}

/** Cuts a context off; the entry in the file stays, since others may hold it too. */
export async function revokeContext(session: Session, name: string): Promise<void> {
  await (await session.admin()).unary('RevokeContext', { name });
  session.terminal.out(`context ${name} revoked`);
}

/** Makes a key here, has the coordinator certify it for `role`, and adds the context to the file. */
export async function createContext(session: Session, name: string, role: Role): Promise<void> {
  const file = await session.contextFile();
  requireNewName(file, name);
  const { server } = findContext(file, undefined);
  const { csr, privateKeyPem: key } = await createRequest(name);
  const admin = await session.admin();
  const issued = await admin.unary('CreateContext', { name, role, csr });
  const ca = new X509Certificate(issued.caCertificate).toString();
  const certificate = new X509Certificate(issued.certificate).toString();
  await session.saveContextFile({
    ...withContext(file, { name, server, ca, certificate, key }),
    currentContext: file.currentContext,
  });
  session.terminal.out(`context ${name} created with role ${role}, in ${session.contextPath}`);
}
